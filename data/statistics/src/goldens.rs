//! Arrays with known results that the tests of several modules share. The results were computed with numpy and scipy, and with
//! a second program.

/// Generator of the golden draws: splitmix64, of which 53 bits give a number from 0 up to 1.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (-53_f64).exp2()
    }
}

/// P&L of twenty dates.
pub(crate) const A: [f64; 20] = [
    120.0, -80.0, -95.0, 310.0, -60.0, -110.0, 45.0, -70.0, 520.0, -90.0, -85.0, -40.0, 0.0, 0.0, 150.0, -100.0, -75.0,
    260.0, -120.0, -65.0,
];

/// Six series of 60 dates.
pub(crate) fn b() -> Vec<Vec<f64>> {
    let value = |t: i64, k: i64| {
        (((37 * t * t + 101 * (k + 1) * t * t * t + 53 * k * k * t + 17 * t + 29 * k) % 97) - 48 + (2 * k - 4)) as f64
    };
    (0..6).map(|k| (0..60).map(|t| value(t, k)).collect()).collect()
}

pub(crate) fn near(found: f64, expected: f64, by: f64) {
    assert!((found - expected).abs() <= by * expected.abs().max(1.0), "{found} is not {expected}");
}

#[test]
fn the_golden_arrays_and_draws_are_those_of_the_reference() {
    let mut generator = SplitMix(1);
    let draws = [10_451_216_379_200_822_465, 13_757_245_211_066_428_519, 17_911_839_290_282_890_590];
    assert_eq!([generator.next(), generator.next(), generator.next()], draws);
    let series = b();
    let row = |t: usize| series.iter().map(|x| x[t]).collect::<Vec<_>>();
    assert_eq!(row(0), [-52.0, -21.0, 10.0, 41.0, -25.0, 6.0]);
    assert_eq!(row(59), [-15.0, -35.0, -9.0, -34.0, -13.0, 54.0]);
    assert_eq!(series.iter().flatten().sum::<f64>(), 70.0);
}
