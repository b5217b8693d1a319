//! The reports of the commands that ask vendors, against the vendor of the tests.

use std::{fs, sync::Arc};

use super::{Shell, printed, words};
use crate::vendor::fake_vendor::{FakeVendor, Rules, TEST_KEY};

#[test]
fn reports_on_what_is_fetched() {
    let (mut shell, server) = (Shell::new(), FakeVendor::start(Rules::default()));
    shell.set("MASSIVE_API_BASE_URL", server.url());
    shell.set("MASSIVE_API_KEY", TEST_KEY);
    let fetch = "zerodte fetch --symbols SPY --start-date 2025-07-01 --end-date 2025-07-03";
    for more in [
        "--dry-run",
        "--dry-run --what bars,vix,options,contracts,greeks",
        "--calls-per-minute 0 --what bars,vix,options --strikes 1",
        "--calls-per-minute 0 --what bars,vix,options --strikes 1",
        "--dry-run --what bars,options",
        "--calls-per-minute 0 --what contracts,greeks",
    ] {
        shell.run(&format!("{fetch} {more}"));
    }
    shell.run(
        "train_historical_model --data-source massive --symbols SPY --start-date 2025-07-01 --end-date 2025-07-03 \
         --timesteps 512 --options bars/massive/raw/options/SPY --set data.warmup_sessions=0 --dry-run",
    );
    shell.run("zerodte inspect SPY --data-source massive");
    shell.check("report_of_fetch");
}

#[test]
fn reports_on_keys_and_plans() {
    // The server's clock is the machine's: which session is the third last depends on it, and is blanked.
    let now_ms = Arc::new(|| jiff::Timestamp::now().as_millisecond());
    let (mut shell, server) = (Shell::new(), FakeVendor::start(Rules { now_ms, indices: false, ..Rules::default() }));
    shell.set("MASSIVE_API_BASE_URL", server.url());
    let doctor = |more: &str, shell: &Shell| {
        let table = printed(&shell.output(&format!("zerodte doctor {more}")));
        let line = |line: &str| {
            let name = ["GPU", "disk", "clock", "stocks: SPY minutes of today"]
                .into_iter()
                .find(|name| line.starts_with(name));
            name.map_or_else(|| words(line), |name| format!("{name} #\n"))
        };
        table.lines().map(line).collect::<String>()
    };
    let offline = doctor("--offline", &shell);
    shell.add("zerodte doctor --offline", &offline);
    let without = doctor("", &shell);
    shell.add("zerodte doctor, without a key", &without);
    shell.set("MASSIVE_API_KEY", "wrong-key-9876");
    let wrong = doctor("", &shell);
    shell.add("zerodte doctor, with a wrong key", &wrong);
    shell.set("MASSIVE_API_KEY", TEST_KEY);
    // Calls are counted in the folder of the cache, and the sixth within a minute waits.
    fs::remove_dir_all(shell.path("bars")).unwrap();
    let good = doctor("", &shell);
    shell.add("zerodte doctor, with a key for stocks and options", &good);
    shell.check("report_of_doctor");
}
