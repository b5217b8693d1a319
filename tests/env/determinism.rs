//! Same seed, config and data: same numbers, for any batch size and any number of threads, with or without a pause.

use market_env::{BatchEnv, EnvConfig, RewardConfig, VecEnv as _};

use crate::util::{Batch, Dice, all_days, dataset, market};

/// Everything a batch shows, lane by lane, over some steps with random legal actions chosen per lane.
fn trace(batch: &mut Batch, steps: usize, seed: u64) -> Vec<Vec<u64>> {
    let lanes = batch.lanes.row.len();
    let mut dice: Vec<Dice> = (0..lanes as u64).map(|lane| Dice(seed + 1000 * lane)).collect();
    let mut trace = vec![Vec::new(); lanes];
    for _ in 0..steps {
        let actions: Vec<u8> = batch.lanes.mask.iter().zip(&mut dice).map(|(&mask, dice)| dice.legal(mask)).collect();
        batch.step(&actions);
        for (lane, seen) in trace.iter_mut().enumerate() {
            let account = batch.lane_account(lane).iter().map(|x| u64::from(x.to_bits()));
            seen.extend([u64::from(batch.lanes.row[lane]), u64::from(batch.lanes.mask[lane].0)]);
            seen.extend([u64::from(batch.lanes.reward[lane].to_bits()), u64::from(batch.lanes.terminated[lane])]);
            seen.extend(account);
        }
    }
    trace
}

#[test]
fn a_batch_equals_as_many_batches_of_one() {
    let market = market(&dataset(&["SPY", "SPX"], 8, 1, 0.0));
    let (days, config) = (all_days(&market), EnvConfig::default());
    let together = trace(&mut Batch::replay(&market, days.clone(), &config), 390, 5);
    for (lane, &day) in days.iter().enumerate() {
        let alone = trace(&mut Batch::replay(&market, vec![day], &config), 390, 5 + 1000 * lane as u64);
        assert_eq!(alone[0], together[lane], "lane {lane}");
    }
}

#[test]
fn a_lane_does_not_depend_on_its_neighbours() {
    let market = market(&dataset(&["SPY", "QQQ"], 8, 1, 0.0));
    let config = EnvConfig::default();
    let few = trace(&mut Batch::training(&market, &config, 4, 11), 900, 5);
    let many = trace(&mut Batch::training(&market, &config, 300, 11), 900, 5);
    assert_eq!(few[..], many[..4]);
}

#[test]
fn results_depend_on_seed_and_lane_but_not_on_threads() {
    let market = market(&dataset(&["SPY", "QQQ"], 8, 1, 0.0));
    let config = EnvConfig::default();
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut batch = Batch::training(&market, &config, 700, seed);
            (trace(&mut batch, 450, 3), batch.env.ledger().clone())
        })
    };
    let (one, two, other) = (run(1, 11), run(2, 11), run(2, 12));
    assert!(one == two, "one and two threads give the same trace and ledger");
    assert!(one != other, "another seed draws other sessions");
    assert!(one.0[0] != one.0[1], "two lanes of one run differ");
    let mut batch = Batch::training(&market, &config, 2, 11);
    let first = trace(&mut batch, 400, 3);
    let second = trace(&mut batch, 400, 3);
    assert_ne!(first, second, "the second session is not the first one again");
}

#[test]
fn a_restored_batch_equals_an_uninterrupted_one() {
    let market = market(&dataset(&["SPY", "SPX"], 8, 1, 0.0));
    let config = EnvConfig::default();
    let mut straight = Batch::training(&market, &config, 300, 21);
    trace(&mut straight, 500, 1);
    let state = straight.env.state();

    let mut resumed = Batch::training(&market, &config, 300, 21);
    resumed.restore(&state).unwrap();
    assert_eq!((&resumed.lanes.row, &resumed.lanes.mask), (&straight.lanes.row, &straight.lanes.mask));
    assert_eq!(trace(&mut resumed, 600, 2), trace(&mut straight, 600, 2));
    assert_eq!(resumed.env.ledger(), straight.env.ledger());

    let mut smaller = Batch::training(&market, &config, 3, 21);
    let refusal = smaller.restore(&state).unwrap_err();
    assert!(refusal.contains("300 lanes"), "{refusal}");
    assert!(smaller.restore("{}").is_err());
}

#[test]
fn an_environment_without_lanes_or_days_is_refused() {
    let market = market(&dataset(&["SPY"], 5, 1, 0.0));
    let refused = |days: Vec<u32>, lanes| BatchEnv::new(market.clone(), days, EnvConfig::default(), lanes, 1).is_err();
    assert!(refused(Vec::new(), 1) && refused(vec![0], 0) && !refused(vec![0], 1));
    let mut early = EnvConfig::default();
    early.exits.flat_before_close = 120;
    assert!(BatchEnv::new(market.clone(), vec![0], early, 1, 1).is_ok(), "270 minutes are left of 390");
}

#[test]
fn lanes_left_out_of_a_step_stay_as_they_are() {
    let market = market(&dataset(&["SPY", "QQQ"], 8, 1, 0.0));
    let (config, lanes, steps) = (EnvConfig::default(), 300, 450);
    let whole = trace(&mut Batch::training(&market, &config, lanes, 11), steps, 5);
    let mut batch = Batch::training(&market, &config, lanes, 11);
    batch.env.use_one_thread();
    let mut dice: Vec<Dice> = (0..lanes as u64).map(|lane| Dice(5 + 1000 * lane)).collect();
    let mut coin = Dice(77);
    let mut seen = vec![Vec::new(); lanes];
    let per_step = whole[0].len() / steps;
    for _ in 0..steps {
        let active: Vec<bool> = (0..lanes).map(|_| coin.roll(3) > 0).collect();
        let draw = |((&mask, dice), &active): ((_, &mut Dice), _)| if active { dice.legal(mask) } else { 9 };
        let actions: Vec<u8> = batch.lanes.mask.iter().zip(&mut dice).zip(&active).map(draw).collect();
        let (rows, accounts) = (batch.lanes.row.clone(), batch.lanes.account.clone());
        batch.env.step_some(&actions, &active, batch.lanes.output());
        for lane in 0..lanes {
            let account: Vec<u64> = batch.lane_account(lane).iter().map(|x| u64::from(x.to_bits())).collect();
            if !active[lane] {
                let own = lane * account.len()..(lane + 1) * account.len();
                assert_eq!((batch.lanes.row[lane], &batch.lanes.account[own.clone()]), (rows[lane], &accounts[own]));
                assert_eq!((batch.lanes.reward[lane], batch.lanes.terminated[lane]), (0.0, false));
                continue;
            }
            seen[lane].extend([u64::from(batch.lanes.row[lane]), u64::from(batch.lanes.mask[lane].0)]);
            seen[lane].extend([u64::from(batch.lanes.reward[lane].to_bits()), u64::from(batch.lanes.terminated[lane])]);
            seen[lane].extend(account);
        }
    }
    for (lane, seen) in seen.iter().enumerate() {
        assert!(seen.len() > 200 * per_step && seen.len() < steps * per_step);
        assert_eq!(seen[..], whole[lane][..seen.len()], "lane {lane} goes through the same steps, only later");
    }
}

#[test]
fn a_session_ends_with_its_last_observation_and_resets_go_on() {
    let market = market(&dataset(&["SPY"], 8, 1, 0.0));
    let config = EnvConfig::default();
    let mut batch = Batch::training(&market, &config, 3, 11);
    let last_bar = |day: &market_env::Day| day.bars - config.exits.flat_before_close - 1;
    let mut ended = Vec::new();
    while ended.is_empty() {
        batch.step(&[0, 0, 0]);
        batch.env.drain_episodes(&mut ended);
    }
    let (row, account) = batch.lanes.last();
    for episode in &ended {
        let day = &market.days()[episode.day as usize];
        assert_eq!(row[episode.lane as usize], (day.rows().start as u32) + last_bar(day));
        assert!(account.iter().all(|&column| column == 0.0), "an account is flat at the bell");
    }
    let before = batch.lanes.row.clone();
    batch.env.reset_some(&[false, true, false], batch.lanes.observation());
    assert_eq!((batch.lanes.row[0], batch.lanes.row[2]), (before[0], before[2]));
    let mut restarted = Batch::training(&market, &config, 3, 11);
    (0..2).for_each(|_| restarted.env.reset_some(&[true; 3], restarted.lanes.observation()));
    assert_eq!(batch.lanes.row[1], restarted.lanes.row[1], "the third session of its stream");
}

#[test]
fn rewards_are_the_sums_of_their_terms() {
    let market = market(&dataset(&["SPY"], 8, 1, 0.0));
    let mut batch = Batch::training(&market, &EnvConfig::default(), 4, 11);
    assert_eq!(batch.env.reward_terms().count(), 0);
    batch.env.keep_reward_terms();
    let mut dice = Dice(3);
    let mut paid = 0;
    for _ in 0..300 {
        let actions: Vec<u8> = batch.lanes.mask.iter().map(|&mask| dice.legal(mask)).collect();
        batch.step(&actions);
        let sums: Vec<f32> = batch.env.reward_terms().map(market_env::PerTerm::total).collect();
        assert_eq!(sums, batch.lanes.reward);
        paid += sums.iter().filter(|&&sum| sum != 0.0).count();
    }
    assert!(paid > 50);
}

/// A reward with every term of the account, which are off by default.
fn with_terms_of_the_account() -> EnvConfig {
    let reward = RewardConfig {
        drawdown: -2.0,
        holding: -0.5,
        turnover: -0.25,
        spread: -1.0,
        sharpe: 0.5,
        ..RewardConfig::default()
    };
    EnvConfig { reward, ..EnvConfig::default() }
}

#[test]
fn terms_of_the_account_pay_go_on_after_a_pause_and_stand_in_the_ledger() {
    let market = market(&dataset(&["SPY"], 8, 1, 0.0));
    let (plain, config) = (EnvConfig::default(), with_terms_of_the_account());
    let mut straight = Batch::training(&market, &config, 200, 21);
    straight.env.keep_reward_terms();
    trace(&mut straight, 500, 1);
    let state = straight.env.state();
    let mut resumed = Batch::training(&market, &config, 200, 21);
    resumed.restore(&state).unwrap();
    assert_eq!(trace(&mut resumed, 400, 2), trace(&mut straight, 400, 2));
    assert_eq!(resumed.env.ledger(), straight.env.ledger());
    let sums: Vec<f32> = straight.env.reward_terms().map(market_env::PerTerm::total).collect();
    assert_eq!(sums, straight.lanes.reward);
    let ledger = straight.env.ledger();
    for (term, sum) in ledger.reward_terms.iter().filter(|(term, _)| !term.is_core()) {
        assert!(sum != 0.0, "{} never paid", term.name());
    }
    assert_eq!(ledger.reward_terms.listed().count(), 10);

    // Money and shaping are those of a run without these terms, and such a run keeps no state for them.
    let mut without = Batch::training(&market, &plain, 200, 21);
    trace(&mut without, 500, 1);
    trace(&mut without, 400, 2);
    let core = |ledger: &market_env::Ledger| ledger.reward_terms.iter().take(5).collect::<Vec<_>>();
    assert_eq!(core(without.env.ledger()), core(ledger));
    assert!(state.contains("\"own\"") && !without.env.state().contains("\"own\""));
    assert_eq!(without.env.ledger().reward_terms.listed().count(), 5);
}
