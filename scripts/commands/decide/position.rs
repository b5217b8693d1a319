//! The account before a decision: actions since the open, given by the user or taken by the model.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::civil::Time;
use market_data::calendar::{Session, session_time};
use market_env::{Action, LiveSession};
use ppo_agent::Policy;

use crate::{config::decision_time, evaluation::decision::Decision, output::exit_code::UsageError};

/// Actions by the bar at whose close they were taken; HOLD at all others.
pub(crate) type Taken = BTreeMap<u32, Action>;

/// Reads `flat`, or a list such as `BUY_CALL@10:31,TRIM_50@10:50`.
///
/// # Errors
/// An unknown action, or a time outside of the session, exit code 2.
pub(crate) fn parse(text: &str, session: &Session) -> Result<Taken, UsageError> {
    if text == "flat" {
        return Ok(Taken::new());
    }
    text.split(',').map(|part| one(part.trim(), session)).collect::<Result<_, _>>().map_err(UsageError::one)
}

fn one(part: &str, session: &Session) -> Result<(u32, Action), String> {
    let form =
        || format!("--position {part}: write flat, or actions with their bars, such as BUY_CALL@10:31,EXIT@11:02");
    let (name, at) = part.split_once('@').ok_or_else(form)?;
    let names = || Action::ALL.map(Action::name).join(", ");
    let action = Action::ALL.into_iter().find(|action| action.name() == name);
    let action = action.ok_or_else(|| format!("--position {part}: {name} is none of {}", names()))?;
    let time: Time = at.parse().map_err(|_| form())?;
    let bar = decision_time::minute_in(session, time).ok_or_else(|| {
        let last = session_time(session.minutes() - 1);
        format!("--position {part}: the session of {} has bars from 09:30 to {last}", session.date)
    })?;
    Ok((bar, action))
}

/// Plays the account to its newest bar, by the given actions or by those of the policy, and returns what was done other than
/// holding.
///
/// # Errors
/// An action that was not legal, or that is not before the newest bar; and as [`Decision::of`].
pub(crate) fn play(policy: &Policy, live: &mut LiveSession, given: Option<&Taken>) -> anyhow::Result<Taken> {
    let mut taken = Taken::new();
    while !live.is_current() {
        let bar = live.bar();
        let action = match given {
            Some(given) => given.get(&bar).copied().unwrap_or(Action::Hold),
            None => Decision::of(policy, live)?.action,
        };
        let at = || format!("at the close of the bar {}", session_time(bar as usize));
        live.step(action).with_context(at)?;
        if action != Action::Hold {
            taken.insert(bar, action);
        }
    }
    let late = given.and_then(|given| given.keys().find(|bar| **bar >= live.bar()));
    match late {
        Some(bar) => {
            let (bar, now) = (session_time(*bar as usize), session_time(live.bar() as usize));
            Err(UsageError::one(format!("--position: {bar} is not before the bar to decide at, {now}")).into())
        }
        None => Ok(taken),
    }
}

#[cfg(test)]
mod tests {
    use market_data::calendar;

    use super::*;

    #[test]
    fn actions_are_named_with_their_bars() {
        let half_day = calendar::session("2025-07-03".parse().unwrap()).unwrap();
        let read = |text: &str| parse(text, &half_day).map_err(|fault| fault.to_string());
        assert_eq!(read("flat").unwrap(), Taken::new());
        let expected = Taken::from([(61, Action::BuyCall), (80, Action::Trim50)]);
        assert_eq!(read("BUY_CALL@10:31, TRIM_50@10:50").unwrap(), expected);
        for (text, words) in [
            ("long", "write flat, or actions with their bars"),
            ("BUY@10:31", "BUY is none of HOLD, BUY_CALL"),
            ("BUY_CALL@noon", "such as BUY_CALL@10:31"),
            ("BUY_CALL@13:00", "has bars from 09:30 to 12:59"),
        ] {
            assert!(read(text).unwrap_err().contains(words), "{text}: {:?}", read(text));
        }
    }
}
