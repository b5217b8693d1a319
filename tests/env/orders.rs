//! Golden order lists: a scripted policy that follows the setups, on fixed days, order by order.
//!
//! A change of prices, fills, fees or rules changes these lists. To pin them again, run the tests, check that every change in the
//! printed lists is intended, and replace the constants below by the printed ones.

use std::{fmt::Write as _, sync::Arc};

use jiff::civil::{Date, date};
use market_data::{DataConfig, Dataset, Window, source};
use market_env::{Action, EnvConfig, ExitConfig, ExitMode, Market, Setup, Trade};
use sha2::{Digest as _, Sha256};

use crate::util::{Batch, all_days, dataset, market, real_bars, symbols};

/// Buys a call on every bull-strong setup and a put on every bear-strong one where legal; the rules sell.
fn follow_setups(market: &Arc<Market>, days: Vec<u32>) -> Vec<Trade> {
    let exits = ExitConfig { mode: ExitMode::Rules, ..ExitConfig::default() };
    let mut batch = Batch::replay(market, days, &EnvConfig { exits, ..EnvConfig::default() });
    let choose = |(mask, row): (&market_env::ActionMask, &u32)| match market.setup(*row as usize) {
        Setup::BullStrong if mask.allows(Action::BuyCall as u8) => Action::BuyCall as u8,
        Setup::BearStrong if mask.allows(Action::BuyPut as u8) => Action::BuyPut as u8,
        _ => Action::Hold as u8,
    };
    let mut trades = Vec::new();
    while !market_env::VecEnv::finished(&batch.env) {
        let actions: Vec<u8> = batch.lanes.mask.iter().zip(&batch.lanes.row).map(choose).collect();
        batch.step(&actions);
        batch.env.drain_trades(&mut trades);
    }
    trades.sort_by_key(|trade| (trade.symbol.clone(), trade.entry_ts_ns));
    trades
}

/// Writes every order on a line of its own, times in UTC, money to the cent.
fn order_list(trades: &[Trade]) -> String {
    let time = |ns: i64| jiff::Timestamp::from_nanosecond(ns.into()).unwrap().strftime("%F %H:%M").to_string();
    let usd = |cents: i64| format!("{:.2}", cents as f64 / 100.0);
    let mut list = String::new();
    for trade in trades {
        let Trade { symbol, strike, contracts, entry_price, .. } = trade;
        let (right, fees) = (trade.side.name(), usd(trade.entry_fees_cents));
        let _ = writeln!(
            list,
            "{} {symbol} {right} {strike} {contracts} @ {entry_price:.2} fees {fees}",
            time(trade.entry_ts_ns)
        );
        for sale in &trade.sales {
            let fees = usd(sale.fees_cents);
            let _ = writeln!(
                list,
                "{}   sell {} @ {:.2} fees {fees} {}",
                time(sale.ts_ns),
                sale.contracts,
                sale.price,
                sale.reason
            );
        }
        let _ = writeln!(list, "{}   net {}", time(trade.exit_ts_ns), usd(trade.net_pnl_cents));
    }
    list
}

/// Pinned values of a list.
#[derive(Debug, PartialEq)]
struct Golden<'a> {
    sha256: &'a str,
    lines: usize,
    first: [&'a str; 8],
}

/// Compares a list with its pinned values; prints the whole list and the new values.
fn compare(name: &str, list: &str, pinned: &Golden<'_>) {
    let sha256: String = Sha256::digest(list.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut lines = list.lines();
    let first = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let found = Golden { sha256: &sha256, lines: list.lines().count(), first };
    assert!(
        found == *pinned,
        "the orders of {name} have changed:\n{list}\nto pin them: const {name}: Golden = {found:#?};"
    );
}

#[test]
fn made_up_days_give_the_pinned_orders() {
    let market = market(&dataset(&["SPX", "SPY"], 3, 3, 0.0));
    let trades = follow_setups(&market, all_days(&market));
    compare("MADE_UP_ORDERS", &order_list(&trades), &MADE_UP_ORDERS);
}

#[test]
fn real_days_give_the_pinned_orders() {
    let Some(folder) = real_bars() else { return };
    let names = symbols(&["SPX", "SPY"]);
    let history = source::files::load(&folder, &names).unwrap();
    let trades: Vec<Trade> = REAL_DAYS.iter().flat_map(|&day| orders_of(&history, day)).collect();
    compare("REAL_ORDERS", &order_list(&trades), &REAL_ORDERS);
}

fn orders_of(history: &market_data::History, day: Date) -> Vec<Trade> {
    let window = Window { from: Some(day), to: Some(day), intraday_days: None };
    let market = market(&Dataset::build(history, &window, &DataConfig::default()).unwrap());
    follow_setups(&market, all_days(&market))
}

/// A day of new inflation figures, the panic of August 2024, a half day, and the tariff pause of April 2025.
const REAL_DAYS: [Date; 4] = [date(2024, 3, 12), date(2024, 8, 5), date(2024, 11, 29), date(2025, 4, 9)];

const MADE_UP_ORDERS: Golden = Golden {
    sha256: "6a54949eb0a38bdbdbd4675f33cb606f6daf8459eccce94bc11d97435248f59c",
    lines: 471,
    first: [
        "2024-12-04 14:32 SPX BUY_CALL 5045 5 @ 13.00 fees 5.73",
        "2024-12-04 14:34   sell 5 @ 10.20 fees 5.74 stop_loss",
        "2024-12-04 14:34   net -1411.47",
        "2024-12-04 14:41 SPX BUY_CALL 5045 6 @ 10.70 fees 6.87",
        "2024-12-04 14:51   sell 3 @ 14.40 fees 3.44 take_profit",
        "2024-12-04 15:35   sell 3 @ 14.00 fees 3.44 trailing_stop",
        "2024-12-04 15:35   net 2086.25",
        "2024-12-04 15:36 SPX BUY_CALL 5050 6 @ 10.40 fees 6.87",
    ],
};

const REAL_ORDERS: Golden = Golden {
    sha256: "e5465a4b6b9f5144e4344339f2421c81bbe8026c93b94e6f8498c651755c4273",
    lines: 547,
    first: [
        "2024-03-12 13:31 SPX BUY_CALL 5145 4 @ 16.60 fees 4.58",
        "2024-03-12 13:32   sell 4 @ 10.90 fees 4.59 stop_loss",
        "2024-03-12 13:32   net -2289.17",
        "2024-03-12 13:45 SPX BUY_PUT 5120 4 @ 13.90 fees 4.58",
        "2024-03-12 13:51   sell 4 @ 11.90 fees 4.59 stop_loss",
        "2024-03-12 13:51   net -809.17",
        "2024-03-12 13:55 SPX BUY_CALL 5125 4 @ 14.40 fees 4.58",
        "2024-03-12 13:59   sell 2 @ 20.60 fees 2.30 take_profit",
    ],
};
