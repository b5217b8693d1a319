//! `zerodte audit-reward`: rewards that pay uninformed policies for losing money are flagged, and others are not.

use std::{fs, process::Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli::{command, refused, text},
    util::real_bars,
};

/// Two months of made-up bars instead of a year.
const SHORT: [&str; 2] = ["--set", "data.synthetic.sessions_to=2024-02-29"];

/// Runs the audit; returns its output and its report.
fn audit(args: &[&str]) -> (Output, Value) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.json");
    let output = command("zerodte", &[&["audit-reward", "--json", file.to_str().unwrap()], args].concat());
    let report = fs::read_to_string(file).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output, serde_json::from_str(&report).unwrap())
}

fn policies(audit: &Value) -> &[Value] {
    audit["policies"].as_array().unwrap()
}

/// Checks that no policy is flagged, and that none has clearly more reward than always-HOLD.
fn assert_no_policy_beats_hold(output: &Output, audit: &Value) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("SOUND: no policy without information"), "{}", text(&output.stdout));
    for policy in policies(audit) {
        let [more, error] = ["value", "error"].map(|key| policy["over_hold"][key].as_f64().unwrap());
        assert!(more <= 2.0 * error, "{policy}");
    }
    let losers = policies(audit).iter().filter(|policy| policy["net_pnl_usd"].as_f64().unwrap() < 0.0).count();
    assert!(losers > 15 && audit["rank_agreement"].as_f64().unwrap() > 0.8, "reward follows money: {audit}");
}

#[test]
fn the_pnl_profile_pays_no_uninformed_policy() {
    let (output, report) = audit(&["--config", "configs/pnl.toml"]);
    let [made_up] = report["audits"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((made_up["data"].as_str(), made_up["session_dates"].as_u64()), (Some("SYNTHETIC"), Some(251)));
    assert_no_policy_beats_hold(&output, made_up);
    assert!(text(&output.stdout).contains("Shaping fades to 0.0% by the end of a training"));
}

#[test]
fn a_reward_that_is_paid_for_holding_is_flagged_by_the_name_of_its_term() {
    let (output, report) = audit(&[&["--set", "env.reward.holding=1.0"], &SHORT[..]].concat());
    assert!(!output.status.success());
    let screen = text(&output.stdout);
    assert!(screen.contains("holding 1") && screen.contains("HACKABLE: policies without information"), "{screen}");
    let flagged = policies(&report["audits"][0]).iter().filter(|policy| policy["flagged"] == true);
    let terms: Vec<&str> = flagged.map(|policy| policy["paying"]["term"].as_str().unwrap()).collect();
    assert!(!terms.is_empty() && terms.iter().all(|term| *term == "holding"), "{terms:?}");
    let charged =
        audit(&[&["--set", "env.reward.drawdown=-1", "--set", "env.reward.spread=-1"], &SHORT[..]].concat()).0;
    assert!(charged.status.success(), "{}", text(&charged.stdout));
}

#[test]
fn the_pnl_profile_pays_no_uninformed_policy_on_real_days() {
    let Some(bars) = real_bars() else { return };
    let data = ["--data-dir", bars.to_str().unwrap(), "--symbols", "SPY,QQQ,SPX,IWM", "--intraday-days", "180"];
    let (output, report) = audit(&[&["--config", "configs/pnl.toml"], &data[..], &SHORT].concat());
    let [made_up, real] = report["audits"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((made_up["data"].as_str(), real["data"].as_str()), (Some("SYNTHETIC"), Some("market")));
    assert_no_policy_beats_hold(&output, real);
}

#[test]
fn a_bonus_above_its_costs_is_flagged_with_the_paying_term() {
    let bonus = ["--set", "env.reward.good_buy_call=1.0", "--set", "env.reward.good_buy_put=1.0"];
    // The default weights charge HOLD on every flat minute of a strong setup; any position avoids the charge.
    for (profile, term) in
        [(&bonus[..], "good_buy"), (&["--config", "configs/anti_collapse.toml"], "missed_opportunity")]
    {
        let (output, report) = audit(&[profile, &SHORT].concat());
        refused(&output, 1, &["the reward pays policies without information for losing money"]);
        assert!(report["verdict"].as_str().unwrap().starts_with("HACKABLE: "), "{report}");
        let of_name =
            |name: &str| policies(&report["audits"][0]).iter().find(|policy| policy["policy"] == name).unwrap();
        let farmer = of_name("with strong setups, 5 min");
        assert_eq!((&farmer["flagged"], &farmer["paying"]["term"]), (&true.into(), &term.into()), "{farmer}");
        assert!(farmer["net_pnl_usd"].as_f64().unwrap() < 0.0);
        assert_eq!(of_name("always-HOLD")["flagged"], false);
        let line = |line: &&str| line.starts_with("with strong setups, 5 min ");
        let screen = text(&output.stdout);
        assert!(screen.lines().find(line).unwrap().ends_with("FLAGGED"), "{screen}");
    }
}

#[test]
fn under_rule_exits_policies_differ_only_by_their_entries() {
    let (_, report) = audit(&[&["--config", "configs/live_rules.toml"], &SHORT[..]].concat());
    let names: Vec<_> =
        policies(&report["audits"][0]).iter().map(|policy| policy["policy"].as_str().unwrap()).collect();
    assert!(names.contains(&"with strong setups, left to the rules"), "{names:?}");
    assert_eq!(names.len(), 13, "{names:?}");
}

#[test]
fn invalid_audits_are_refused_by_name() {
    let audit = |args: &[&str]| command("zerodte", &[&["audit-reward"], args].concat());
    refused(&audit(&["--set", "env.reward.good_by_call=1"]), 2, &["good_by_call", "good_buy_call"]);
    refused(&audit(&["--config", "no_such.toml"]), 2, &["no_such.toml"]);
    refused(&audit(&["--data-source", "massif"]), 2, &["run.data_source", "did you mean massive?"]);
    refused(&audit(&["--set", "env.reward.shaping_final=2"]), 2, &["env.reward.shaping_final: 2 is not in 0..=1"]);
    refused(&audit(&[&["--data-dir", "no/such/folder"], &SHORT[..]].concat()), 1, &["no/such/folder"]);
    let printed = audit(&["--config", "configs/pnl.toml", "--print-config"]);
    assert!(printed.status.success() && text(&printed.stdout).contains("shaping_final = 0.0"));
}
