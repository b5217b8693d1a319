//! One step of one lane: orders at the next open, the mark at its close, the exit rules, the reward.
//!
//! A minute without a bar holds no trade of the underlying: no order fills in it. The mark goes on with the last price.

use crate::{
    ActionMask, ClosedTrade, Day, Fill, Ledger, Position, Sale, Trade,
    account::{
        Refusal,
        execution::FillRule,
        exits::{ExitDecision, ExitOrder, ExitReason, ExitState},
    },
    action::Action,
    batch::{
        lane::{EntryOrder, Lane, Rules, gain},
        own_terms::Mark,
    },
    market::Signal,
    option::{black_scholes::Right, contract::MULTIPLIER, quote::right_bit},
    reward::{FlatDecision, PerTerm, RewardTerm},
};

/// One lane's step, with the sums it adds to.
pub(crate) struct LaneStep<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) number: u32,
    pub(crate) ledger: &'a mut Ledger,
    /// Record of the closed positions; `None` for none.
    pub(crate) record: Option<Record<'a>>,
}

/// Record of the closed positions of all lanes.
pub(crate) enum Record<'a> {
    /// Whole trades of a replay, and the sales of the lane's open position.
    Replay { sales: &'a mut Vec<Sale>, trades: &'a mut Vec<Trade> },
    /// Day and return alone.
    Training(&'a mut Vec<ClosedTrade>),
}

impl LaneStep<'_> {
    /// Advances the lane from the decision at the close of `lane.bar` to the close of the next bar. Returns the reward by
    /// term, and true at the session's end.
    pub(crate) fn step(&mut self, lane: &mut Lane, action: u8) -> (PerTerm<f32>, bool) {
        if lane.finished {
            return (PerTerm::default(), false);
        }
        let (rules, mask) = (self.rules, lane.mask);
        let action = Action::from_index(action)
            .filter(|_| mask.allows(action))
            .unwrap_or_else(|| panic!("action {action} is not legal in lane {} (mask {:#08b})", self.number, mask.0));
        let day = rules.day(lane);
        let next = lane.bar + 1;
        let mut terms = if lane.account.position.is_some() {
            self.decide_held(lane, action, mask);
            PerTerm::default()
        } else {
            self.decide_flat(lane, day, action, mask)
        };
        let entry_cost = lane.account.position.map_or(1, |position| position.entry_cost);
        if lane.held_since(next) {
            self.exit(lane, day, next);
        }
        let over = next + 1 == rules.last_bar(day);
        if over {
            self.end(lane, day);
        }
        terms[RewardTerm::Pnl] = rules.config.reward.money(self.mark(lane, day, next), entry_cost);
        if let Some(own) = &mut lane.own {
            let at_risk = lane.account.position.map_or(0, |position| position.cost_basis);
            own.pay(&rules.config.reward, Mark { equity: lane.equity, at_risk, over }, &mut terms);
        }
        lane.bar = next;
        lane.steps += 1;
        lane.reward += f64::from(terms.reward(lane.own.is_some()));
        self.count_terms(&terms, lane.own.is_some());
        self.ledger.steps += 1;
        self.ledger.minutes_without_bar += u64::from(!rules.market.has_bar(day, next));
        self.ledger.sessions += u64::from(over);
        (terms, over)
    }

    /// Counts a flat account's decision, places its order, works it at the next open, and returns the shaping. The shaping
    /// of an entry depends on its decision and is paid at the fill.
    fn decide_flat(&mut self, lane: &mut Lane, day: &Day, action: Action, mask: ActionMask) -> PerTerm<f32> {
        if mask.is_forced() {
            self.ledger.forced_steps += 1;
        } else {
            let signal = self.rules.market.signal(day.first_row + lane.bar);
            self.ledger.flat_actions[signal.setup as usize][action.index()] += 1;
            let right = match action {
                Action::BuyCall => Right::Call,
                Action::BuyPut => Right::Put,
                _ => return self.shape(Action::Hold, false, signal),
            };
            let contract = u32::from(signal.contracts[right_bit(right) as usize]);
            lane.entry = Some(EntryOrder { action, contract, decided: lane.bar });
        }
        match lane.entry {
            Some(entry) => self.enter(lane, day, entry),
            None => PerTerm::default(),
        }
    }

    /// Returns whether the minute at whose open an order works had no bar, so that nothing fills in it. Counts the order once
    /// per hole.
    fn is_halted(&mut self, day: &Day, due: u32, bar: u32) -> bool {
        let market = &self.rules.market;
        if market.has_bar(day, bar) {
            return false;
        }
        self.ledger.halted_orders += u64::from(bar == due || market.has_bar(day, bar - 1));
        true
    }

    /// Works an entry at the next open.
    fn enter(&mut self, lane: &mut Lane, day: &Day, entry: EntryOrder) -> PerTerm<f32> {
        let (rules, bar, due) = (self.rules, lane.bar + 1, self.rules.arrival(entry.decided));
        if due > bar {
            return PerTerm::default();
        }
        let quote = rules.market.quote(day, entry.contract, bar).open;
        let bought = if self.is_halted(day, due, bar) {
            Err(Refusal::NoQuote)
        } else {
            let offer = (quote, rules.market.size(day, entry.contract, bar));
            lane.account.buy(entry.action, entry.contract, offer, &rules.config.account, rules.terms(lane))
        };
        match bought {
            Err(Refusal::NoQuote) if rules.config.execution.fill == FillRule::NextQuote => {
                if !lane.guard.allows(bar + 1) {
                    lane.entry = None;
                    self.ledger.unfilled_orders += 1;
                }
                PerTerm::default()
            }
            Err(refusal) => {
                lane.entry = None;
                self.ledger.refused_orders += 1;
                self.ledger.unaffordable_orders += u64::from(refusal == Refusal::NoCash);
                PerTerm::default()
            }
            Ok(fill) => {
                let signal = rules.market.signal(day.first_row + entry.decided);
                lane.entry = None;
                lane.entry_bar = bar;
                lane.entry_setup = signal.setup;
                self.ledger.opened += 1;
                self.ledger.premium_cents += fill.premium;
                self.count_fill(lane, fill);
                if let Some(own) = &mut lane.own {
                    own.filled(fill, quote);
                }
                self.shape(entry.action, true, signal)
            }
        }
    }

    fn shape(&mut self, action: Action, filled: bool, signal: Signal) -> PerTerm<f32> {
        let Signal { setup, bull_chase, bear_chase, .. } = signal;
        let decision = FlatDecision { action, filled, setup, bull_chase, bear_chase };
        let triggers = decision.triggers();
        self.ledger.good_buy += u64::from(triggers[RewardTerm::GoodBuy]);
        self.ledger.missed_opportunity += u64::from(triggers[RewardTerm::MissedOpportunity]);
        self.ledger.bad_chase += u64::from(triggers[RewardTerm::BadChase]);
        self.rules.config.reward.shape(&decision)
    }

    /// Counts the decision of an account with a position, and places its order.
    fn decide_held(&mut self, lane: &mut Lane, action: Action, mask: ActionMask) {
        lane.held_steps += 1;
        self.ledger.held_steps += 1;
        if mask.is_forced() {
            self.ledger.forced_steps += 1;
            return;
        }
        self.ledger.held_actions[action.index()] += 1;
        let sell = match action {
            Action::Trim50 => 0.5,
            Action::Trim70 => 0.7,
            Action::Exit => 1.0,
            _ => return,
        };
        let held = lane.account.position.map_or(0, |position| position.contracts);
        let decision = ExitDecision { sell, reason: ExitReason::Agent };
        lane.order = Some(ExitOrder::of(decision, held, self.rules.arrival(lane.bar)));
    }

    /// Works the sale that is due at the open of a bar. The rules' orders work until they are filled. The policy's order ends
    /// with its first fill, or without one unless it waits for a quote. Every order waits in a minute without a bar.
    fn exit(&mut self, lane: &mut Lane, day: &Day, bar: u32) {
        let Some(order) = lane.order.filter(|order| order.due <= bar) else { return };
        if self.is_halted(day, order.due, bar) {
            return;
        }
        let sold = self.sell(lane, day, order.contracts, order.reason, bar);
        let left = order.contracts - sold;
        let by_policy = order.reason == ExitReason::Agent;
        let waits = sold == 0 && self.rules.config.execution.fill == FillRule::NextQuote;
        let goes_on = left > 0 && (!by_policy || waits);
        self.ledger.refused_orders += u64::from(sold == 0 && !goes_on);
        lane.order = goes_on.then_some(ExitOrder { contracts: left, ..order });
        if let Some(position) = lane.account.position.as_mut().filter(|_| left == 0) {
            position.tier += u8::from(order.reason == ExitReason::TakeProfit);
            position.trailed |= order.reason == ExitReason::TrailingStop;
        }
    }

    /// Sells at the open of a bar; returns the contracts sold.
    fn sell(&mut self, lane: &mut Lane, day: &Day, contracts: u32, reason: ExitReason, bar: u32) -> u32 {
        let (Some(position), market) = (&lane.account.position, &self.rules.market) else { return 0 };
        let bid = (market.quote(day, position.contract, bar).open, market.size(day, position.contract, bar));
        let Some(fill) = lane.account.sell(contracts, bid, self.rules.terms(lane)) else { return 0 };
        if let Some(own) = &mut lane.own {
            own.filled(fill, bid.0);
        }
        self.book_sale(lane, day, fill, reason, bar);
        fill.contracts
    }

    /// Ends the session: sells before the bell, at every remaining open of a bar if need be, and settles the rest at the close. A
    /// contract that expires later is worth more than its intrinsic value, but found no buyer.
    fn end(&mut self, lane: &mut Lane, day: &Day) {
        lane.order = None;
        if !self.rules.settles(day) {
            let due = self.rules.last_bar(day);
            for bar in due..day.bars {
                let Some(position) = lane.account.position else { return };
                if !self.is_halted(day, due, bar) {
                    self.sell(lane, day, position.contracts, ExitReason::EndOfDay, bar);
                }
            }
            self.ledger.unfilled_orders += u64::from(lane.account.position.is_some());
        }
        self.settle(lane, day);
    }

    fn settle(&mut self, lane: &mut Lane, day: &Day) {
        let Some(position) = lane.account.position else { return };
        let value = day.intrinsic_cents(position.contract);
        let reason = if value > 0 { ExitReason::Settled } else { ExitReason::ExpiredWorthless };
        if let Some(fill) = lane.account.settle(value) {
            self.book_sale(lane, day, fill, reason, day.bars);
        }
    }

    /// Counts a sale, records it in a replay, and closes the position after its last contract.
    fn book_sale(&mut self, lane: &mut Lane, day: &Day, fill: Fill, reason: ExitReason, bar: u32) {
        self.count_fill(lane, fill);
        if let Some(Record::Replay { sales, .. }) = &mut self.record {
            sales.push(Sale {
                ts_ns: day.bar_ns(bar),
                contracts: fill.contracts,
                price: fill.premium as f64 / (MULTIPLIER * i64::from(fill.contracts)) as f64 / 100.0,
                fees_cents: fill.fees,
                reason,
            });
        }
        if let Some(closed) = lane.account.close() {
            lane.guard.closed(&self.rules.config.guards, reason, bar);
            self.close(lane, day, &closed, reason, bar);
        }
    }

    fn count_fill(&mut self, lane: &mut Lane, fill: Fill) {
        lane.fees += fill.fees;
        self.ledger.fees_cents += fill.fees;
        self.ledger.partial_orders += u64::from(fill.contracts < fill.asked);
    }

    /// Marks the account at the close of bar `next`, applies the exit rules, and returns the change since the last mark.
    fn mark(&mut self, lane: &mut Lane, day: &Day, next: u32) -> i64 {
        let rules = self.rules;
        let value = lane.account.position.map_or(0, |position| {
            let quote = rules.market.quote(day, position.contract, next).close;
            rules.terms(lane).liquidation(quote.bid, position.contracts)
        });
        let change = lane.account.cash + value - lane.equity;
        lane.equity += change;
        self.ledger.net_pnl_cents += change;
        let lost = lane.equity <= rules.floor_cents;
        if lost {
            lane.guard.end();
        }
        if let Some(position) = &mut lane.account.position {
            let gain = gain(value, position);
            position.peak = position.peak.max(gain);
            let minutes_held = next + 1 - lane.entry_bar;
            let (peak, tier, trailed) = (position.peak, position.tier, position.trailed);
            let decision = if lost {
                Some(ExitDecision::all(ExitReason::DailyLoss))
            } else {
                rules.config.exits.decide(&ExitState { gain, peak, minutes_held, tier, trailed })
            };
            if let Some(decision) = decision {
                let order = ExitOrder::of(decision, position.contracts, rules.arrival(next));
                lane.order = Some(ExitOrder::more_urgent(lane.order, order));
            }
        }
        change
    }

    fn count_terms(&mut self, terms: &PerTerm<f32>, own: bool) {
        let count = if own { RewardTerm::COUNT } else { RewardTerm::CORE };
        for (term, value) in terms.iter().take(count) {
            self.ledger.reward_terms[term] += f64::from(value);
            self.ledger.reward_terms_abs[term] += f64::from(value.abs());
        }
    }

    fn close(&mut self, lane: &Lane, day: &Day, closed: &Position, reason: ExitReason, bar: u32) {
        let net_pnl_cents = closed.net_pnl();
        let net_return = net_pnl_cents as f64 / closed.entry_cost as f64;
        self.ledger.exits[reason as usize] += 1;
        self.ledger.wins += u64::from(net_pnl_cents > 0);
        self.ledger.trade_return += net_return;
        self.ledger.trade_return_squares += net_return * net_return;
        let (sales, trades) = match &mut self.record {
            Some(Record::Replay { sales, trades }) => (sales, trades),
            Some(Record::Training(trades)) => {
                trades.push(ClosedTrade { day: lane.day, net_return });
                return;
            }
            None => return,
        };
        let prices = self.rules.market.price_origin(day, closed.contract, lane.entry_bar, sales);
        trades.push(Trade {
            lane: self.number,
            symbol: day.symbol.to_string(),
            date: day.date,
            side: closed.side,
            strike: day.strike(closed.contract),
            expiry: day.expiry,
            entry_ts_ns: day.bar_ns(lane.entry_bar),
            exit_ts_ns: day.bar_ns(bar),
            contracts: closed.bought,
            entry_price: f64::from(closed.entry_price) / 100.0,
            entry_fees_cents: closed.entry_fees(),
            sales: std::mem::take(*sales),
            exit_price: closed.sold_premium as f64 / (MULTIPLIER * i64::from(closed.bought)) as f64 / 100.0,
            fees_cents: closed.fees,
            net_pnl_cents,
            net_return,
            reason,
            setup: lane.entry_setup,
            prices,
        });
    }
}
