//! What every configuration key means, as comments in the printed configuration and so in `configs/default.toml`.

/// Key and comment. Contracts have the same keys whatever their symbol, and volatility models whatever their
/// input: `*` stands for it.
const COMMENTS: &[(&str, &str)] = &[
    ("run.model_name", "Name of the model and of everything that belongs to it"),
    ("run.timesteps", "Steps of training, summed over lanes; rounded up to whole iterations"),
    ("run.symbols", "Symbols whose sessions are replayed"),
    ("run.seed", "Seed of every random stream"),
    ("run.data_source", "files, synthetic, or a vendor: massive, alpaca, yahoo"),
    (
        "run.data_dir",
        "Folder of SYMBOL_1m.parquet or .csv files; for a vendor, of what was fetched (optional options: option minutes)",
    ),
    ("run.options", "File or folder of option minutes to replay, instead of quotes from the pricing model"),
    ("run.start_date", "First session date; absent = as far back as the other limits and the bars go"),
    ("run.end_date", "Last session date; absent = the last bar's"),
    (
        "run.intraday_days",
        "Calendar days up to the last date (optional start_date, end_date: YYYY-MM-DD); 0 = no limit",
    ),
    ("run.out_dir", "Folder under which models/, logs/ and runs/ are written"),
    ("run.checkpoint_freq", "Steps between checkpoints"),
    ("run.diagnostics_freq", "Steps between diagnostics blocks"),
    ("run.num_threads", "Threads, 0 = one per core; the results do not depend on it"),
    (
        "run.device",
        "auto, cpu, cuda or cuda:N (optional load_model: the model whose parameters training starts from; forecaster: the one whose \
         forecasts become columns; replay_moves: moves.jsonl of a run whose changes of settings are made again)",
    ),
    ("run.load_model", "Model whose parameters training starts from"),
    (
        "run.forecaster",
        "Forecaster whose forecasts become columns of the tape; it must have seen no date from the training's first on",
    ),
    ("run.forecaster_transfer", "Whether the actor starts with the layers of the forecaster's encoder"),
    ("run.replay_moves", "File moves.jsonl of a run whose changes of settings are made again, and no other"),
    ("data.warmup_sessions", "Sessions kept back before the first traded one, so that indicators are warm"),
    ("data.grid.max_filled_fraction", "Largest share of filled minutes; a session with more is refused"),
    ("data.split.train", "Share of the sessions for training, the earliest"),
    ("data.split.validation", "Share of the sessions for validation; the rest is for the test"),
    ("data.split.gap_sessions", "Sessions left out between two parts"),
    ("data.synthetic.seed", "Seed of the made-up bars"),
    ("data.synthetic.sessions_from", "First made-up date"),
    ("data.synthetic.sessions_to", "Last made-up date"),
    (
        "data.synthetic.planted_edge",
        "Drift per minute in standard deviations; 0 plants nothing, 0.5 is plain to any method",
    ),
    ("data.synthetic.edge_visibility", "Share of minutes whose bar's wicks tell the drift's direction; 0 = hidden"),
    ("data.synthetic.annual_vol", "Median annualised volatility, as a fraction"),
    ("data.synthetic.vol_of_vol", "Scale of the movement of volatility, 0 = constant"),
    ("data.synthetic.jumps_per_session", "Mean number of market-wide jumps per full session"),
    ("data.massive.calls_per_minute", "Calls per rolling minute: 5 on the free plan; 0 = a paid one, without a limit"),
    (
        "data.massive.flat_files",
        "Whether bars come from the flat files of a paid plan: raw prices instead of adjusted ones",
    ),
    ("data.alpaca.calls_per_minute", "Calls per rolling minute: 200 on the free plan"),
    ("data.alpaca.feed", "sip: trades of all exchanges; iex: of one"),
    ("data.yahoo.calls_per_minute", "Calls per rolling minute; it tells nobody how many it bears"),
    ("market.frames", "Tape rows per observation"),
    ("market.setup_threshold", "Setup conditions, of 4, that make a bar strong in a direction"),
    ("market.use_greeks", "Whether the policy sees delta, gamma, theta and vega of its position"),
    ("market.expiry", "same_day, or next_day: when the contracts that entries buy expire"),
    ("market.strike.rule", "Which strike entries buy: at_the_money, delta or offset"),
    ("market.strike.delta", "Absolute delta that rule delta aims at"),
    ("market.strike.offset", "Dollars out of the money of rule offset"),
    ("market.pricing.rate", "Risk-free rate per trading year; zero, since a day earns no interest"),
    ("market.pricing.spread_multiplier", "Factor on every half-spread, for stress tests"),
    ("market.pricing.edge_of_day_multiplier", "Factor on half-spreads in a session's first 5 and last 15 minutes"),
    ("market.pricing.fitted_from", "First date of the option prints that the models below were fitted on"),
    ("market.pricing.fitted_to", "Last date of them"),
    ("market.pricing.events.fomc", "Days of rate decisions, at 14:00"),
    ("market.pricing.events.cpi", "Days on which consumer prices are published; the day before matters"),
    ("market.pricing.events.late_earnings", "Days whose evening brings a report that moves the index"),
    (
        "market.pricing.*.intercept",
        "Log volatility over 12 %, 2 10 30 60 120 195 270 330 360 375 385 388 minutes towards the close",
    ),
    ("market.pricing.*.now", "Slope on the log of the volatility input, at the open and at the close"),
    ("market.pricing.*.open", "Slope on its first value of the session"),
    ("market.pricing.*.vix", "Slope on VIX"),
    ("market.pricing.*.recent", "Slope on the volatility of the last minutes"),
    ("market.pricing.*.fomc", "On a day of a rate decision: built up by 14:00, the half hour after, the rest"),
    ("market.pricing.*.cpi_eve", "On the day before consumer prices, per share of the session gone"),
    ("market.pricing.*.late_earnings", "On a day whose evening brings a report"),
    ("market.pricing.*.skew", "Slope of the smile: constant, per share of the session left, per log level"),
    ("market.pricing.*.curvature", "Curvature of the smile, likewise"),
    ("market.pricing.*.wings", "On |x|^3, constant and per share of the session left, and on x^3"),
    ("market.surface.half_life", "Minutes after which a real print counts half"),
    ("market.surface.stale_after", "Minutes without any real print after which nothing fills"),
    ("market.surface.quote_stands", "Minutes for which a contract's own real quote stands"),
    ("market.contracts.*.strike_step", "Distance of neighbouring strikes, in dollars"),
    ("market.contracts.*.tick", "penny, or nickel_dime: 0.05 below 3.00 and 0.10 from there"),
    ("market.contracts.*.half_spread", "Half-spread of a worthless option, in dollars"),
    ("market.contracts.*.half_spread_rate", "Half-spread added per dollar of premium"),
    ("market.contracts.*.vol_ratio", "Volatility of the underlying as a multiple of the S&P's"),
    ("market.contracts.*.option_vol", "Volatility of its options over what the model says for that"),
    ("market.contracts.*.quoted_size", "Contracts displayed at the best prices, where the quotes do not tell"),
    ("market.contracts.*.settlement", "physical: always sold before the bell; cash: may run to its settlement"),
    ("market.contracts.*.fees.commission", "Broker's commission, in dollars per contract"),
    ("market.contracts.*.fees.minimum_commission", "Least commission of one order, in dollars"),
    ("market.contracts.*.fees.exchange_below_1", "Exchange fee per contract of an option below 1.00"),
    ("market.contracts.*.fees.exchange_from_1", "Exchange fee per contract of an option from 1.00"),
    ("market.contracts.*.fees.clearing", "Clearing fee per contract"),
    ("market.contracts.*.fees.regulatory", "Options Regulatory Fee per contract"),
    ("market.contracts.*.fees.sale_activity", "FINRA's Trading Activity Fee per contract sold"),
    ("market.contracts.*.fees.sale_value_rate", "Section 31 fee, a fraction of a sale's value; 27.8e-6 before 2025-05"),
    ("env.draw", "uniform: every session is equally likely; regime_balanced: every VIX regime is"),
    ("env.account.capital", "Cash at the start of a session, in dollars"),
    ("env.account.risk_fraction", "Part of the cash that one entry may cost"),
    ("env.account.max_contracts", "Most contracts of one entry"),
    ("env.execution.fill", "An order without a quote: next_open, refused; next_quote, works until there is one"),
    ("env.execution.delay_bars", "Bars by which every order reaches the market later than the next open"),
    ("env.execution.slippage", "Dollars per share against you on every fill, and in every mark"),
    ("env.execution.impact", "Concession of an order of the displayed size, in spreads; the square root of its part"),
    ("env.execution.participation", "Part of the displayed size that one order may take"),
    ("env.exits.mode", "agent: the policy sells, and the stop and the close; rules: the rules below alone"),
    ("env.exits.stop_loss", "Loss on the cost basis that sells everything, measured at bar closes"),
    ("env.exits.flat_before_close", "Minutes before the close at which everything is sold"),
    ("env.exits.at_the_bell", "flat: everything is sold before; settle: cash-settled contracts run to the close"),
    ("env.exits.take_profit.gain", "Gain on the cost basis that triggers this tier (mode rules)"),
    ("env.exits.take_profit.sell", "Part of the remaining contracts that it sells"),
    ("env.exits.trail_from", "Gain from which the trailing stop is armed (mode rules)"),
    ("env.exits.trail_drop", "Fall of the gain from its peak that then sells (mode rules)"),
    ("env.exits.trail_sell", "Part of the remaining contracts that it sells, once; the rest runs on"),
    ("env.exits.max_minutes", "Minutes after which a position is sold, 0 = never (mode rules)"),
    ("env.guards.daily_loss_limit", "Loss on the session's capital that sells everything and ends the day, 0 = off"),
    ("env.guards.max_trades", "Most positions opened in a session, 0 = no limit"),
    ("env.guards.cooldown", "Minutes from any exit to the next entry"),
    ("env.guards.cooldown_after_stop", "Minutes from a stop-loss exit to the next entry"),
    ("env.guards.cooldown_after_trail", "Minutes from a trailing-stop exit to the next entry"),
    ("env.guards.no_entry_after_open", "Minutes after the open in which nothing is bought"),
    ("env.guards.no_entry_before_close", "Minutes before the close in which nothing is bought"),
    ("env.guards.vix_ceiling", "VIX known at the open above which nothing is bought that day, 0 = off"),
    ("env.reward.pnl_scale", "Reward per unit of P&L as a fraction of the position's entry cost"),
    ("env.reward.good_buy_call", "Paid when a call is bought on a bull-strong setup"),
    ("env.reward.good_buy_put", "Paid when a put is bought on a bear-strong setup"),
    ("env.reward.missed_opportunity", "Paid when a flat account HOLDs on a strong setup"),
    ("env.reward.hold_tax", "Paid when a flat account HOLDs without a strong setup"),
    ("env.reward.bad_chase", "Paid when an entry chases an exhausted bar"),
    ("env.reward.shaping_final", "Part of the shaping left at the end of a training; 1 = it stays, 0 = money alone"),
    ("env.costs.fee_multiplier", "Factor on the contract's fees, for stress tests"),
    ("policy.kind", "mlp, lstm or gru: whether the policy remembers more than the frames it is shown"),
    ("policy.net_arch", "Units of each hidden layer, the same for actor and critic"),
    ("policy.activation", "tanh or relu, after every hidden layer"),
    ("policy.trunk", "separate or shared: whether actor and critic share their hidden layers"),
    ("policy.recurrent_size", "Units of an lstm's or gru's cell, before the hidden layers"),
    (
        "policy.backend",
        "What computes the networks: auto, native or tch (libtorch); auto: on a CPU native, where it can",
    ),
    ("policy.precision", "f32, or bf16 for the matrix products of training on a GPU"),
    ("ppo.n_envs", "Lanes stepped together"),
    ("ppo.n_steps", "Steps per lane and iteration"),
    ("ppo.batch_size", "Samples per gradient step"),
    ("ppo.n_epochs", "Passes over the samples of an iteration"),
    ("ppo.learning_rate", "Adam's step size"),
    ("ppo.lr_schedule", "constant, or linear: falls to zero"),
    ("ppo.gamma", "Discount per bar"),
    ("ppo.gae_lambda", "Lambda of the advantage estimate"),
    ("ppo.clip_range", "Half-width of the trust region of the probability ratio (optional clip_range_vf: of a value)"),
    ("ppo.clip_range_vf", "Half-width of the allowed change of a value, in reward units"),
    ("ppo.ent_coef", "Weight of the entropy bonus"),
    ("ppo.ent_schedule", "constant; linear: moves to ent_coef_final; auto: follows the policy's entropy"),
    ("ppo.ent_coef_final", "Entropy weight at the end of a linear schedule"),
    ("ppo.ent_target", "Entropy that auto aims at, as a part of the largest possible one where there is a choice"),
    ("ppo.ent_coef_min", "Smallest entropy weight of auto"),
    ("ppo.ent_coef_max", "Largest entropy weight of auto"),
    ("ppo.ent_rate", "Largest relative change of auto in one iteration"),
    ("ppo.vf_coef", "Weight of the value loss"),
    (
        "ppo.max_grad_norm",
        "Largest norm of the whole gradient (optional target_kl: stops an update above 1.5 times it)",
    ),
    (
        "ppo.weight_decay",
        "Pull of every parameter towards zero, as in torch's Adam; even a small one can freeze a training",
    ),
    ("ppo.target_kl", "An update stops above 1.5 times this divergence"),
    ("ppo.normalize_advantage", "Whether advantages are standardised within each minibatch"),
    ("ppo.sequence_length", "Steps of the sequences that an lstm or gru learns from; divides n_steps and batch_size"),
    (
        "health.on_collapse",
        "What a verdict of collapsed, state_blind, frozen or exploding leads to: warn, stop or adapt",
    ),
    ("health.persistence", "Intervals in a row in which something must be read before it is called"),
    ("health.min_decisions", "Fewest decisions of flat accounts from which an interval says anything"),
    ("health.warm_up", "Iterations that a policy has before it is called state_blind"),
    ("health.collapse_share", "Share of HOLD, or of BUY, among flat decisions that is collapsed"),
    ("health.farmed_share", "Share of entries that is collapsed where they clearly lose"),
    ("health.drift_share", "Share that is drifting"),
    ("health.blind_variance", "Variance of an action's probability across flat states up to which a policy is blind"),
    ("health.drift_entropy", "Part of the largest entropy below which a policy is drifting"),
    ("health.frozen_change", "Relative change of a network's parameters per iteration up to which it is frozen"),
    ("health.frozen_kl", "Divergence of an update, in nats, up to which an undecided policy is frozen"),
    (
        "health.explode_factor",
        "Growth of the critic's loss over its calmest interval, or of the parameters over their first, that is exploding",
    ),
    ("health.patience", "Intervals that adapt waits after a move for it to act"),
    ("forecast.bars", "The bars that a forecaster sees: minute, or day for horizons of sessions"),
    ("forecast.horizons", "How far ahead targets look: bars such as 5, close, or sessions such as 1d"),
    ("forecast.temporal_frames", "Frames of an input, newest last"),
    ("forecast.encoder", "mlp, gru or attention"),
    ("forecast.hidden_size", "Units of a layer"),
    ("forecast.layers", "Layers of the encoder"),
    ("forecast.heads", "Heads of attention"),
    ("forecast.activation", "tanh or relu"),
    ("forecast.dropout", "Share of a layer's outputs that a training step leaves out"),
    ("forecast.output_init", "Initial weights of the output layer: default, or a standard deviation such as 0.1"),
    ("forecast.target_scale", "standardized: targets of mean 0 and deviation 1; raw: in their own unit"),
    ("forecast.learning_rate", "Step size of Adam"),
    ("forecast.weight_decay", "Pull of every parameter towards zero; ten times this has frozen a training"),
    ("forecast.batch_size", "Samples of a minibatch"),
    ("forecast.warmup_steps", "Minibatches over which the step size rises from zero"),
    ("forecast.max_grad_norm", "Largest norm of a gradient"),
    ("forecast.max_epochs", "Most passes over the training samples"),
    ("forecast.patience", "Epochs without improvement that end the training"),
    ("forecast.min_delta", "Least improvement that counts as one"),
    ("forecast.early_stopping", "What early stopping watches: r2, loss, or combined (loss - 2 R2)"),
    ("forecast.loss.kind", "Loss of returns and volatilities: mse, mae, huber or quantile"),
    ("forecast.loss.huber_delta", "Where Huber turns absolute: auto, or a number in the target's unit"),
    ("forecast.loss.huber_k", "Standard deviations of auto"),
    ("forecast.loss.quantile", "The quantile of the loss quantile"),
    ("forecast.loss.reg_weight", "Weight of the regression losses"),
    ("forecast.loss.clf_weight", "Weight of the directions' cross-entropy"),
    ("forecast.loss.variance_term", "Term against predictions that shrink to a constant: none, variance, std or r2"),
    ("forecast.loss.variance_weight", "Its weight"),
    ("forecast.loss.overweight", "How often a sample counts whose target is more than a deviation from its mean"),
    ("forecast.gate.return_r2", "R2 of returns above which the forecaster has probably seen them"),
    ("forecast.gate.volatility_r2", "R2 of volatilities above which it has"),
    ("forecast.gate.direction_auc", "Area under the curve of directions above which it has"),
    ("forecast.gate.negligible_loss", "Loss of R2 that is none"),
    ("forecast.gate.min_sessions", "Fewest dates whose intervals are believed"),
    ("forecast.pretrain.enabled", "Whether the encoder first learns to reconstruct frames that it is not shown"),
    ("forecast.pretrain.masked", "Share of the frames that are hidden"),
    ("forecast.pretrain.epochs", "Most passes of pretraining"),
    ("forecast.pretrain.patience", "Passes without a better reconstruction that end it"),
];

/// Puts its comment above every key of a configuration that was written as TOML.
pub fn annotate(toml: &str) -> String {
    let (mut section, mut out) = (String::new(), String::new());
    for line in toml.lines() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" = ")
            && let Some(comment) = comment(&format!("{section}.{key}"))
        {
            out += &format!("# {comment}\n");
        }
        out += line;
        out.push('\n');
    }
    out
}

fn comment(key: &str) -> Option<&'static str> {
    let parts: Vec<&str> = key.split('.').collect();
    let general = match parts.as_slice() {
        ["market", "contracts", _, fields @ ..] => format!("market.contracts.*.{}", fields.join(".")),
        ["market", "pricing", "vix1d" | "vix" | "vix_daily" | "realised", field] => format!("market.pricing.*.{field}"),
        _ => key.to_owned(),
    };
    COMMENTS.iter().find(|(known, _)| *known == general).map(|(_, comment)| *comment)
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;
    use crate::config::RunConfig;

    #[test]
    fn every_key_has_a_comment_and_the_text_reads_back() {
        // The keys that have no value by default are set, so that they are looked for too.
        let mut config = RunConfig::default();
        (config.run.start_date, config.run.end_date) = (Some(Date::MIN), Some(Date::MAX));
        (config.run.load_model, config.run.options) = (Some("m".into()), Some("o".into()));
        config.run.replay_moves = Some("r".into());
        (config.ppo.target_kl, config.ppo.clip_range_vf) = (Some(0.02), Some(0.2));
        let annotated = annotate(&config.to_toml().unwrap());
        let lines: Vec<&str> = annotated.lines().collect();
        for pair in lines.windows(2) {
            let is_key = !pair[1].starts_with('#') && pair[1].contains(" = ");
            assert!(!is_key || pair[0].starts_with("# "), "{} has no comment", pair[1]);
        }
        assert_eq!(toml::from_str::<RunConfig>(&annotated).unwrap(), config);
    }
}
