//! One step of one lane: orders at the next open, marks at its close, the rules' look at the position, and the reward.

use crate::{
    ActionMask, Day, EXIT_REASONS, Fill, Ledger, Position, RewardTerms, Sale, Trade,
    action::Action,
    contract::MULTIPLIER,
    exits::{ExitOrder, ExitReason, ExitState},
    lane::{Lane, Rules, gain},
    market::Signal,
    option::Right,
    reward::FlatDecision,
    tape::right_bit,
};

/// One lane's step, with the sums it adds to.
pub(crate) struct Play<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) number: u32,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) trades: &'a mut Vec<Trade>,
}

impl Play<'_> {
    /// Plays the decision at the close of `lane.bar` through to the close of the next bar. Returns the reward and whether
    /// the session is over.
    pub(crate) fn step(&mut self, lane: &mut Lane, action: u8) -> (f32, bool) {
        if lane.finished {
            return (0.0, false);
        }
        let (rules, mask) = (self.rules, self.rules.mask(lane));
        let action = Action::from_index(action)
            .filter(|_| mask.allows(action))
            .unwrap_or_else(|| panic!("action {action} is not legal in lane {} (mask {:#08b})", self.number, mask.0));
        let day = rules.day(lane);
        let next = lane.bar + 1;
        let mut terms = if lane.account.position.is_some() {
            self.count_held(lane, action, mask);
            RewardTerms::default()
        } else {
            self.enter(lane, day, action)
        };
        let entry_cost = lane.account.position.map_or(1, |position| position.entry_cost);
        if lane.held_since(next) {
            self.exit(lane, day, action, next);
        }
        let over = next + 1 == rules.last_bar(day);
        if over {
            self.flatten(lane, day, next + 1);
        }
        terms.pnl = rules.config.reward.money(self.mark(lane, day, next), entry_cost);
        lane.bar = next;
        lane.steps += 1;
        let reward = terms.total();
        lane.reward += f64::from(reward);
        self.count_terms(&terms);
        self.ledger.steps += 1;
        self.ledger.sessions += u64::from(over);
        (reward, over)
    }

    /// Carries out a flat account's decision at the next open, and returns its shaping.
    fn enter(&mut self, lane: &mut Lane, day: &Day, action: Action) -> RewardTerms {
        let signal = self.rules.market.signal(day.first_row + lane.bar);
        self.ledger.flat_actions[signal.setup as usize][action.index()] += 1;
        let right = match action {
            Action::BuyCall => Some(Right::Call),
            Action::BuyPut => Some(Right::Put),
            _ => None,
        };
        let filled = right.is_some_and(|right| {
            let contract = u32::from(signal.contracts[right_bit(right) as usize]);
            let quote = self.rules.market.quote(day, contract, lane.bar + 1).open;
            let config = &self.rules.config;
            let fill = lane.account.buy(action, contract, quote, &config.account, self.rules.fees(day));
            self.ledger.refused_orders += u64::from(fill.is_none());
            fill.is_some_and(|fill| {
                lane.entry_bar = lane.bar + 1;
                lane.entry_setup = signal.setup;
                lane.fees += fill.fees;
                self.ledger.opened += 1;
                self.ledger.fees_cents += fill.fees;
                self.ledger.premium_cents += fill.premium;
                true
            })
        });
        let Signal { setup, bull_chase, bear_chase, .. } = signal;
        let decision = FlatDecision { action, filled, setup, bull_chase, bear_chase };
        let triggers = decision.triggers();
        self.ledger.good_buy += u64::from(triggers.good_buy);
        self.ledger.missed_opportunity += u64::from(triggers.missed_opportunity);
        self.ledger.bad_chase += u64::from(triggers.bad_chase);
        self.rules.config.reward.shape(&decision)
    }

    /// Carries out the rules' order, or else the policy's, at the open of bar `next`.
    fn exit(&mut self, lane: &mut Lane, day: &Day, action: Action, next: u32) {
        let by_agent = |sell| Some(ExitOrder { sell, reason: ExitReason::Agent });
        let order = lane.order.or(match action {
            Action::Trim50 => by_agent(0.5),
            Action::Trim70 => by_agent(0.7),
            Action::Exit => by_agent(1.0),
            _ => None,
        });
        let Some(order) = order else { return };
        if self.sell(lane, day, order, next) {
            lane.order = None;
        } else {
            self.ledger.refused_orders += 1;
        }
    }

    /// Sells at the open of a bar; returns whether there was a bid.
    fn sell(&mut self, lane: &mut Lane, day: &Day, order: ExitOrder, bar: u32) -> bool {
        let Some(position) = &lane.account.position else { return true };
        let quote = self.rules.market.quote(day, position.contract, bar).open;
        let Some(fill) = lane.account.sell(order.sell, quote, self.rules.fees(day)) else { return false };
        lane.fees += fill.fees;
        self.ledger.fees_cents += fill.fees;
        self.note_sale(lane, day, fill, order.reason, bar);
        if let Some(position) = &mut lane.account.position {
            position.tier += u8::from(order.reason == ExitReason::TakeProfit);
        }
        if let Some(closed) = lane.account.close() {
            self.record(lane, day, &closed, order.reason, bar);
        }
        true
    }

    /// Sells everything before the bell; what finds no bid expires without value.
    fn flatten(&mut self, lane: &mut Lane, day: &Day, bar: u32) {
        let order = ExitOrder { sell: 1.0, reason: ExitReason::EndOfDay };
        if !self.sell(lane, day, order, bar)
            && let Some(expired) = lane.account.expire()
        {
            let nothing = Fill { contracts: expired.contracts, ..Fill::default() };
            self.note_sale(lane, day, nothing, ExitReason::ExpiredWorthless, bar);
            self.record(lane, day, &expired, ExitReason::ExpiredWorthless, bar);
        }
        lane.order = None;
    }

    /// Marks the account at the close of bar `next`, lets the rules look at it, and returns the change since the last mark.
    fn mark(&mut self, lane: &mut Lane, day: &Day, next: u32) -> i64 {
        let value = match lane.account.position {
            None => 0,
            Some(position) => {
                let quote = self.rules.market.quote(day, position.contract, next).close;
                lane.account.liquidation(quote, self.rules.fees(day))
            }
        };
        let change = lane.account.cash + value - lane.equity;
        lane.equity += change;
        self.ledger.net_pnl_cents += change;
        if let Some(position) = &mut lane.account.position {
            let gain = gain(value, position);
            position.peak = position.peak.max(gain);
            let state =
                ExitState { gain, peak: position.peak, minutes_held: next + 1 - lane.entry_bar, tier: position.tier };
            lane.order = ExitOrder::more_urgent(lane.order, self.rules.config.exits.order(state));
        }
        change
    }

    fn count_held(&mut self, lane: &mut Lane, action: Action, mask: ActionMask) {
        lane.held_steps += 1;
        self.ledger.held_steps += 1;
        if mask.is_forced() {
            self.ledger.forced_steps += 1;
        } else {
            self.ledger.held_actions[action.index()] += 1;
        }
    }

    fn count_terms(&mut self, terms: &RewardTerms) {
        for (i, value) in terms.values().into_iter().enumerate() {
            self.ledger.reward_terms[i] += f64::from(value);
            self.ledger.reward_terms_abs[i] += f64::from(value.abs());
        }
    }

    /// Writes a sale down for the record of the trade, in a replay.
    fn note_sale(&self, lane: &mut Lane, day: &Day, fill: Fill, reason: ExitReason, bar: u32) {
        if self.rules.deck.is_none() {
            lane.sales.push(Sale {
                ts_ns: day.bar_ns(bar),
                contracts: fill.contracts,
                price: fill.premium as f64 / (MULTIPLIER * i64::from(fill.contracts)) as f64 / 100.0,
                fees_cents: fill.fees,
                reason: EXIT_REASONS[reason as usize].to_owned(),
            });
        }
    }

    fn record(&mut self, lane: &mut Lane, day: &Day, closed: &Position, reason: ExitReason, bar: u32) {
        let net_pnl_cents = closed.net_pnl();
        let net_return = net_pnl_cents as f64 / closed.entry_cost as f64;
        lane.trades += 1;
        self.ledger.exits[reason as usize] += 1;
        self.ledger.wins += u64::from(net_pnl_cents > 0);
        self.ledger.trade_return += net_return;
        if self.rules.deck.is_some() {
            return;
        }
        self.trades.push(Trade {
            lane: self.number,
            symbol: day.symbol.to_string(),
            date: day.date,
            side: closed.side,
            strike: day.strike(closed.contract),
            expiry: day.date,
            entry_ts_ns: day.bar_ns(lane.entry_bar),
            exit_ts_ns: day.bar_ns(bar),
            contracts: closed.bought,
            entry_price: f64::from(closed.entry_price) / 100.0,
            entry_fees_cents: closed.entry_fees(),
            sales: std::mem::take(&mut lane.sales),
            exit_price: closed.sold_premium as f64 / (MULTIPLIER * i64::from(closed.bought)) as f64 / 100.0,
            fees_cents: closed.fees,
            net_pnl_cents,
            net_return,
            reason: EXIT_REASONS[reason as usize].to_owned(),
            setup: lane.entry_setup,
        });
    }
}
