//! The slow account of the oracle: money in dollars, one rule after the other, written from the rules and not from the batch.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::{Dataset, SessionBars};
use market_env::{AtTheBell, EnvConfig, ExitMode, FEATURES, FillRule, Market, Settlement, Setup, TickRule};

/// One account in one session.
pub(super) struct Oracle<'a> {
    market: &'a Market,
    bars: &'a SessionBars,
    pub(super) config: &'a EnvConfig,
    day: usize,
    pub(super) bar: usize,
    pub(super) cash: f64,
    value: f64,
    held: Option<Held>,
    /// An entry and a sale that were ordered and not yet filled.
    entry: Option<Entry>,
    sale: Option<Sale>,
    /// Bars at which an entry may reach the market.
    open_from: usize,
    open_until: usize,
    /// Refused, partly filled and never filled orders, and those that met a hole.
    pub(super) orders: [u64; 4],
    /// Minutes played without a bar.
    pub(super) holes: u64,
    pub(super) exits: BTreeMap<&'static str, u64>,
}

struct Held {
    call: bool,
    strike: f64,
    contracts: u32,
    bought: u32,
    cost: f64,
    basis: f64,
    since: usize,
    peak: f64,
    tier: usize,
    trailed: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    call: bool,
    strike: f64,
    decided: usize,
    /// The order met a hole that has not ended.
    halted: bool,
}

#[derive(Clone, Copy)]
struct Sale {
    contracts: u32,
    reason: &'static str,
    due: usize,
    /// The order met a hole that has not ended.
    halted: bool,
}

impl<'a> Oracle<'a> {
    pub(super) fn new(market: &'a Market, dataset: &'a Dataset, config: &'a EnvConfig, day: usize) -> Self {
        let session = &market.days()[day];
        let sessions = dataset.symbols.iter().find(|s| s.symbol == session.symbol).unwrap();
        let bars = sessions.days.iter().find(|bars| bars.session.date == session.date).unwrap();
        let (cash, guards) = (config.account.capital, &config.guards);
        let all = bars.close.len();
        let last = all - config.exits.flat_before_close as usize;
        let nervous = guards.vix_ceiling > 0.0 && session.vix_at_open > guards.vix_ceiling;
        let until = last.min(all - guards.no_entry_before_close as usize);
        Self {
            market,
            bars,
            config,
            day,
            bar: 0,
            cash,
            value: cash,
            held: None,
            entry: None,
            sale: None,
            open_from: guards.no_entry_after_open as usize,
            open_until: if nervous { 0 } else { until },
            orders: [0; 4],
            holes: 0,
            exits: BTreeMap::new(),
        }
    }

    fn fee(&self, contracts: u32, price: f64, sale: bool) -> f64 {
        let day = &self.market.days()[self.day];
        let (n, fees) = (f64::from(contracts), &day.spec.fees);
        // Of the rates that were in force up to some date, the first that ends on this one or later holds.
        let rate = |earlier: &[(Date, f64)], now: f64| {
            let past = earlier.iter().filter(|(until, _)| *until >= day.date).min_by_key(|(until, _)| *until);
            past.map_or(now, |(_, rate)| *rate)
        };
        let mut dollars = (n * fees.commission).max(fees.minimum_commission);
        dollars += n * if price < 0.995 { fees.exchange_below_1 } else { fees.exchange_from_1 };
        dollars += n * rate(&fees.earlier_clearing, fees.clearing);
        dollars += n * rate(&fees.earlier_regulatory, fees.regulatory);
        if sale {
            dollars += n * rate(&fees.earlier_sale_activity, fees.sale_activity);
            dollars += rate(&fees.earlier_sale_value_rate, fees.sale_value_rate) * price * 100.0 * n;
        }
        (dollars * self.config.costs.fee_multiplier * 100.0 + 0.500_001).floor() / 100.0
    }

    fn feature(&self, name: &str, bar: usize) -> f32 {
        let column = FEATURES.iter().position(|(n, _)| *n == name).unwrap();
        let row = self.market.days()[self.day].rows().start + bar;
        self.market.features()[row * FEATURES.len() + column]
    }

    fn setup(&self, bar: usize) -> Setup {
        self.market.setup(self.market.days()[self.day].rows().start + bar)
    }

    /// Bid and ask in dollars, by strike, at the open or the close of a bar.
    fn quote(&self, call: bool, strike: f64, bar: usize, at_open: bool) -> (f64, f64) {
        let (c, p) = self.market.quotes_at(&self.market.days()[self.day], strike, bar as u32).unwrap();
        let pair = if call { c } else { p };
        let quote = if at_open { pair.open } else { pair.close };
        (f64::from(quote.bid) / 100.0, quote.ask.map_or(0.0, |ask| f64::from(ask.get()) / 100.0))
    }

    fn is_price(&self, cents: i64) -> bool {
        match self.market.days()[self.day].spec.tick {
            TickRule::Penny => true,
            TickRule::NickelDime if cents < 300 => cents % 5 == 0,
            TickRule::NickelDime => cents % 10 == 0,
        }
    }

    /// The next price that is no better for the account.
    fn worse(&self, dollars: f64, up: bool) -> f64 {
        let exact = dollars * 100.0;
        let mut cents = if up { (exact - 1e-6).ceil() } else { (exact + 1e-6).floor() } as i64;
        while !self.is_price(cents) {
            cents += if up { 1 } else { -1 };
        }
        cents.max(0) as f64 / 100.0
    }

    /// How much a price moves against an order of some contracts.
    fn against(&self, spread: f64, contracts: u32) -> f64 {
        let (execution, size) = (&self.config.execution, self.market.days()[self.day].spec.quoted_size);
        execution.slippage + execution.impact * spread * (f64::from(contracts) / f64::from(size)).sqrt()
    }

    /// Most contracts that one order may take.
    fn most(&self) -> u32 {
        let size = self.market.days()[self.day].spec.quoted_size;
        (f64::from(size) * self.config.execution.participation * 1.000_000_1) as u32
    }

    fn delayed(&self, bar: usize) -> usize {
        bar + 1 + self.config.execution.delay_bars as usize
    }

    pub(super) fn legal(&self) -> Vec<u8> {
        let arrival = self.delayed(self.bar);
        match &self.held {
            None if self.entry.is_none() && arrival >= self.open_from && arrival < self.open_until => vec![0, 1, 2],
            Some(_) if self.sale.is_none() && self.config.exits.mode == ExitMode::Agent => vec![0, 3, 4, 5],
            _ => vec![0],
        }
    }

    fn part(&self, part: f64) -> u32 {
        let held = self.held.as_ref().unwrap().contracts;
        (held * (part * 1000.0).round() as u32 / 1000).max(1)
    }

    /// Takes contracts off the position at a price and a fee, and closes it when none are left.
    fn take(&mut self, contracts: u32, price: f64, fee: f64, reason: &'static str, bar: usize) {
        self.cash += price * 100.0 * f64::from(contracts) - fee;
        let held = self.held.as_mut().unwrap();
        // The cost basis of the sold part is rounded down to a whole cent.
        let basis = (held.basis * 100.0).round() as i64;
        held.basis = (basis - basis * i64::from(contracts) / i64::from(held.contracts)) as f64 / 100.0;
        held.contracts -= contracts;
        if held.contracts > 0 {
            return;
        }
        self.held = None;
        *self.exits.entry(reason).or_default() += 1;
        let guards = &self.config.guards;
        let pause = match reason {
            "stop_loss" => guards.cooldown.max(guards.cooldown_after_stop),
            "trailing_stop" => guards.cooldown.max(guards.cooldown_after_trail),
            _ => guards.cooldown,
        };
        self.open_from = self.open_from.max(bar + pause as usize);
        if self.exits.values().sum::<u64>() == u64::from(guards.max_trades) {
            self.open_until = 0;
        }
    }

    /// Tries to sell at the open of a bar; returns how many contracts went.
    fn sell(&mut self, wanted: u32, reason: &'static str, bar: usize) -> u32 {
        let held = self.held.as_ref().unwrap();
        let (bid, ask) = self.quote(held.call, held.strike, bar, true);
        let contracts = wanted.min(self.most());
        let spread = if ask > 0.0 { ask - bid } else { bid };
        let price = self.worse(bid - self.against(spread, contracts), false);
        if contracts == 0 || price <= 0.0 {
            return 0;
        }
        let fee = self.fee(contracts, price, true);
        self.take(contracts, price, fee, reason, bar);
        self.orders[1] += u64::from(contracts < wanted);
        contracts
    }

    fn work_sale(&mut self, next: usize) {
        let Some(sale) = self.sale.filter(|sale| sale.due <= next) else { return };
        if self.bars.filled[next] {
            self.orders[3] += u64::from(!sale.halted);
            self.sale = Some(Sale { halted: true, ..sale });
            return;
        }
        let sale = Sale { halted: false, ..sale };
        self.sale = Some(sale);
        let sold = self.sell(sale.contracts, sale.reason, next);
        if sold == sale.contracts {
            self.sale = None;
            if let Some(held) = &mut self.held {
                held.tier += usize::from(sale.reason == "take_profit");
                held.trailed |= sale.reason == "trailing_stop";
            }
        } else if sale.reason != "agent" {
            self.sale = Some(Sale { contracts: sale.contracts - sold, ..sale });
        } else if sold > 0 {
            self.sale = None;
        } else if self.config.execution.fill == FillRule::NextOpen {
            self.sale = None;
            self.orders[0] += 1;
        }
    }

    /// The largest number of contracts within a budget, counted one by one; at least one.
    fn payable(&self, budget: f64, price: f64) -> u32 {
        let cost = |n: u32| price * 100.0 * f64::from(n) + self.fee(n, price, false);
        let most = self.config.account.max_contracts;
        (1..=most).take_while(|&n| n == 1 || cost(n) <= budget + 1e-6).last().unwrap()
    }

    /// Works the entry at an open; returns its shaping when it fills.
    fn work_entry(&mut self, next: usize) -> f64 {
        let Some(entry) = self.entry.filter(|entry| self.delayed(entry.decided) <= next) else { return 0.0 };
        let (bid, ask) = self.quote(entry.call, entry.strike, next, true);
        let hole = self.bars.filled[next];
        self.orders[3] += u64::from(hole && !entry.halted);
        self.entry = Some(Entry { halted: hole, ..entry });
        if hole || ask == 0.0 || self.most() == 0 {
            if self.config.execution.fill == FillRule::NextOpen {
                self.orders[0] += 1;
                self.entry = None;
            } else if next + 1 >= self.open_until {
                self.orders[2] += 1;
                self.entry = None;
            }
            return 0.0;
        }
        let price = |n: u32| self.worse(ask + self.against(ask - bid, n), true);
        let budget = (self.cash * 100.0 * self.config.account.risk_fraction + 1e-9).floor() / 100.0;
        let wanted = self.payable(budget, price(0));
        let possible = wanted.min(self.most());
        let bought = self.payable(budget, price(possible)).min(possible);
        let paid = price(bought);
        let cost = paid * 100.0 * f64::from(bought) + self.fee(bought, paid, false);
        self.entry = None;
        if cost > self.cash + 1e-6 {
            self.orders[0] += 1;
            return 0.0;
        }
        self.orders[1] += u64::from(wanted > self.most());
        self.cash -= cost;
        let Entry { call, strike, decided, .. } = entry;
        let fresh = Held {
            call,
            strike,
            contracts: bought,
            bought,
            cost,
            basis: cost,
            since: next,
            peak: 0.0,
            tier: 0,
            trailed: false,
        };
        self.held = Some(fresh);
        let shaping = &self.config.reward;
        let bonus = match (call, self.setup(decided)) {
            (true, Setup::BullStrong) => shaping.good_buy_call,
            (false, Setup::BearStrong) => shaping.good_buy_put,
            _ => 0.0,
        };
        let chase = self.feature(if call { "bull_chase" } else { "bear_chase" }, decided) == 1.0;
        f64::from(bonus) + if chase { f64::from(shaping.bad_chase) } else { 0.0 }
    }

    /// Plays one decision and returns the reward and whether the session is over.
    pub(super) fn step(&mut self, action: u8) -> (f64, bool) {
        let (shaping, next) = (self.config.reward.clone(), self.bar + 1);
        let (setup, choice) = (self.setup(self.bar), self.legal().len() > 1);
        let mut reward = 0.0;
        if self.held.is_some() {
            let order = [(3, 0.5), (4, 0.7), (5, 1.0)].into_iter().find(|(known, _)| *known == action);
            if let Some((_, part)) = order {
                self.sale = Some(Sale {
                    contracts: self.part(part),
                    reason: "agent",
                    due: self.delayed(self.bar),
                    halted: false,
                });
            }
        } else if action > 0 {
            let step = self.market.days()[self.day].spec.strike_step;
            let strike = (self.bars.close[self.bar] / step).round() * step;
            self.entry = Some(Entry { call: action == 1, strike, decided: self.bar, halted: false });
        } else if choice {
            reward += f64::from(if setup == Setup::Weak { shaping.hold_tax } else { shaping.missed_opportunity });
        }
        self.holes += u64::from(self.bars.filled[next]);
        let held_before = self.held.is_some();
        reward += self.work_entry(next);
        let cost = self.held.as_ref().map_or(0.0, |held| held.cost);
        if held_before {
            self.work_sale(next);
        }
        let last = self.bars.close.len() - self.config.exits.flat_before_close as usize;
        let over = next + 1 == last;
        if over {
            self.end(last);
        }
        let before = self.value;
        self.value = self.cash + self.liquidation(next);
        if cost > 0.0 {
            reward += f64::from(shaping.pnl_scale) * (self.value - before) / cost;
        }
        self.watch(next);
        self.bar = next;
        (reward, over)
    }

    /// The end of the session, all of it within the last step.
    fn end(&mut self, last: usize) {
        self.sale = None;
        let spec = &self.market.days()[self.day].spec;
        let runs = spec.settlement == Settlement::Cash && self.config.exits.at_the_bell == AtTheBell::Settle;
        let bell = self.bars.close.len();
        let mut hole = false;
        for bar in if runs { bell..bell } else { last..bell } {
            let Some(held) = &self.held else { break };
            if self.bars.filled[bar] {
                self.orders[3] += u64::from(!hole);
            } else {
                self.sell(held.contracts, "end_of_day", bar);
            }
            hole = self.bars.filled[bar];
        }
        let Some(Held { call, strike, contracts, .. }) = self.held else { return };
        self.orders[2] += u64::from(!runs);
        let spot = (self.bars.close[bell - 1] * 100.0).round() / 100.0;
        let worth = if call { spot - strike } else { strike - spot }.max(0.0);
        self.take(contracts, worth, 0.0, if worth > 0.0 { "settled" } else { "expired_worthless" }, bell);
    }

    fn liquidation(&self, bar: usize) -> f64 {
        self.held.as_ref().map_or(0.0, |held| {
            let bid = self.quote(held.call, held.strike, bar, false).0;
            let price = self.worse(bid - self.config.execution.slippage, false);
            (price * 100.0 * f64::from(held.contracts) - self.fee(held.contracts, price, true)).max(0.0)
        })
    }

    fn watch(&mut self, bar: usize) {
        let (value, limit) = (self.liquidation(bar), self.config.guards.daily_loss_limit);
        let exits = &self.config.exits;
        let lost = limit > 0.0 && self.value <= self.config.account.capital * (1.0 - limit) + 1e-9;
        if lost {
            self.open_until = 0;
        }
        let due = self.delayed(bar);
        let Some(held) = self.held.as_mut() else {
            self.sale = None;
            return;
        };
        let gain = (value - held.basis) / held.basis;
        held.peak = held.peak.max(gain);
        let rules = exits.mode == ExitMode::Rules;
        let tier = exits.take_profit.get(held.tier);
        let falls = held.peak >= exits.trail_from && held.peak - gain >= exits.trail_drop && !held.trailed;
        let (part, reason) = if lost {
            (1.0, "daily_loss")
        } else if gain <= -exits.stop_loss {
            (1.0, "stop_loss")
        } else if rules && tier.is_some_and(|tier| gain >= tier.gain) {
            (tier.unwrap().sell, "take_profit")
        } else if rules && falls {
            (exits.trail_sell, "trailing_stop")
        } else if rules && exits.max_minutes > 0 && bar + 1 - held.since >= exits.max_minutes as usize {
            (1.0, "time_stop")
        } else {
            return;
        };
        let contracts = self.part(part);
        if self.sale.is_none_or(|sale| sale.contracts < contracts && sale.reason != reason) {
            self.sale = Some(Sale { contracts, reason, due, halted: false });
        }
    }

    pub(super) fn columns(&self) -> [f64; 4] {
        self.held.as_ref().map_or([0.0; 4], |held| {
            let gain = (self.value - self.cash - held.basis) / held.basis;
            [
                if held.call { 1.0 } else { -1.0 },
                gain.min(3.0),
                ((self.bar + 1 - held.since) as f64 / 60.0).min(4.0),
                f64::from(held.contracts) / f64::from(held.bought),
            ]
        })
    }
}
