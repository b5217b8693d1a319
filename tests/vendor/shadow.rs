//! A followed session: bars come from a fake vendor on a simulated clock, and the record is that of a replay of the same day.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::bail;
use market_data::{
    calendar::{self, Session},
    source::vendor::Clock as _,
};
use market_env::{BatchEnv, EnvConfig};
use ppo_agent::{Policy, PolicyConfig};
use zerodte_scripts::{
    commands::shadow::{Comparison, Follow, Heading, Row, ShadowFile, compare, read},
    config::{DataSource, RunConfig},
    inputs::live,
};

use crate::{
    util,
    vendor::fetch_fixture::{FetchFixture, RecordingProgress},
};

/// A half day: the vendor's bars come a quarter of an hour late.
const DATE: &str = "2025-11-28";

/// Everything that a session is followed with.
struct Shadow {
    fixture: FetchFixture,
    policy: Policy,
    config: RunConfig,
    session: Session,
}

impl Shadow {
    fn new() -> Self {
        let (fixture, session) = (FetchFixture::new(|_| ()), calendar::session(DATE.parse().unwrap()).unwrap());
        fixture.clock.0.store(session.open_ns / 1_000_000 - 3_600_000, Ordering::SeqCst);
        let mut config = RunConfig::default();
        config.run.symbols = util::symbols(&["SPY"]);
        config.run.data_source = DataSource::named("massive").unwrap();
        (config.run.start_date, config.run.end_date) = (Some(session.date), Some(session.date));
        config.run.intraday_days = 0;
        Self { fixture, policy: lively_policy(), config, session }
    }

    fn heading(&self) -> Heading {
        Heading::new(
            "models/m".as_ref(),
            "ab".to_owned(),
            self.config.run.symbols[0].clone(),
            self.session.date,
            self.config.clone(),
        )
    }

    fn file(&self) -> ShadowFile {
        ShadowFile::open(self.fixture.folder.path().join("shadow.jsonl"), &self.heading()).unwrap()
    }

    /// Follows the session until `say` fails.
    fn follow(&self, say: &mut dyn FnMut(String) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (progress, cache) = (RecordingProgress::default(), self.fixture.cache());
        let massive = self.fixture.massive(&progress);
        let fetcher = self.fixture.fetcher(&massive, &cache, &progress);
        let Self { policy, config, session, .. } = self;
        Follow { fetcher, policy, config, session: *session, delay: Duration::from_secs(5) }.run(&mut self.file(), say)
    }

    fn rows(&self) -> Vec<Row> {
        let (heading, rows) = read(&self.fixture.folder.path().join("shadow.jsonl")).unwrap();
        assert_eq!(heading, self.heading());
        rows
    }

    fn compare(&self, rows: &[Row]) -> Comparison {
        let (progress, cache) = (RecordingProgress::default(), self.fixture.cache());
        let massive = self.fixture.massive(&progress);
        let fetcher = self.fixture.fetcher(&massive, &cache, &progress);
        let history = live::earlier(&fetcher, &self.config, self.session.date).unwrap();
        compare(&self.policy, &self.heading(), rows, &history).unwrap()
    }
}

/// An untrained policy whose actions differ from state to state.
fn lively_policy() -> Policy {
    let market = util::market(&util::dataset(&["SPY"], 12, 3, 0.0));
    let env = BatchEnv::replay(market, vec![0], EnvConfig::default()).unwrap();
    let mut policy = Policy::for_env(&env, &PolicyConfig::default(), 4).unwrap();
    policy.tensor_mut("actor.2.weight").unwrap().iter_mut().for_each(|weight| *weight *= 300.0);
    policy
}

#[test]
fn a_followed_session_is_that_of_its_replay_and_goes_on_after_a_stop() {
    let shadow = Shadow::new();
    let mut lines = Vec::new();
    let stopped = shadow.follow(&mut |line| {
        lines.push(line);
        if lines.len() == 5 { bail!("stopped by hand") } else { Ok(()) }
    });
    assert!(stopped.unwrap_err().to_string().contains("stopped by hand"));
    let before = shadow.rows();
    assert!(!before.is_empty() && before.len() < 200, "{}", before.len());
    shadow
        .follow(&mut |line| {
            lines.push(line);
            Ok(())
        })
        .unwrap();
    let rows = shadow.rows();
    assert_eq!(rows[..before.len()], before, "rows stay as they were written");
    assert!((200..=210).contains(&rows.len()), "{}", rows.len());
    let end = lines.last().unwrap();
    assert!(
        end.contains("The session is over") && end.contains("none placed") && end.contains("0 minutes without"),
        "{end}"
    );
    let late = rows.iter().map(|row| row.delay_s).fold(0.0, f64::max);
    assert!(rows.iter().all(|row| row.delay_s >= 900.0), "no decision before its bar has come");
    assert!(late < 1_000.0, "every bar is decided when it comes: {late}");
    assert!(shadow.fixture.clock.now_ms() > shadow.session.close_ns / 1_000_000);
    assert!(rows.iter().map(|row| row.action).collect::<std::collections::BTreeSet<_>>().len() > 2, "{lines:?}");

    // The next morning.
    shadow.fixture.clock.jump(18 * 3_600_000);
    let same = shadow.compare(&rows);
    assert_eq!(same.differences, Vec::new());
    assert_eq!(same.minutes, rows.len());
    shadow.fixture.assert_key_not_leaked();

    let mut other = rows.clone();
    other[30].prices.as_mut().unwrap()[3] += 0.01;
    other[40].decision.as_mut().unwrap().observation[2] += 0.5;
    other[41].decision.as_mut().unwrap().probabilities[0] += 0.25;
    other[42].decision = None;
    other.truncate(rows.len() - 1);
    let found: Vec<(String, String)> =
        shadow.compare(&other).differences.into_iter().map(|found| (found.time, found.field)).collect();
    let feature = shadow.policy.spec().features[2].clone();
    let last = rows.last().unwrap().time.clone();
    let expected = [
        ("10:00", "close".to_owned()),
        ("10:10", feature),
        ("10:11", "probability of HOLD".to_owned()),
        ("10:12", "decision".to_owned()),
        (&last, "bar".to_owned()),
        (&last, "decision".to_owned()),
    ];
    assert_eq!(found, expected.map(|(time, field)| (time.to_owned(), field)));
}

#[test]
fn a_record_of_another_session_or_model_is_not_continued() {
    let shadow = Shadow::new();
    drop(shadow.file());
    let path = shadow.fixture.folder.path().join("shadow.jsonl");
    let other = Heading { model_sha256: "cd".to_owned(), ..shadow.heading() };
    let message = ShadowFile::open(path.clone(), &other).unwrap_err().to_string();
    assert!(message.contains("is the record of another model; name another file with --out"), "{message}");
    std::fs::write(&path, "{\"half\": ").unwrap();
    assert!(format!("{:#}", read(&path).unwrap_err()).contains("line 1 is not the heading"));
}
