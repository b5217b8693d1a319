//! The default volatility models, fitted by `zerodte calibrate --fit`; `configs/pricing.toml` holds the same numbers with
//! the report of the fit.

use jiff::civil::{Date, date};

use crate::{LevelSd, VolModel};

/// First and last date of the SPY prints that the models were fitted on.
pub(crate) const FITTED: (Date, Date) = (date(2024, 1, 2), date(2025, 6, 30));

/// Standard deviation of a session's level error, in percent of volatility: the larger of two root mean squares, rounded up.
/// One is that of `zerodte calibrate --fit`, over fits to all months before 2024-09 to 2025-06 and the sessions after each; the
/// other that of one fit to 2024-01 to 2024-09, on the nine months after it.
pub(crate) const LEVEL_SD: LevelSd = LevelSd { vix1d: 9.5, vix: 19.5, vix_daily: 18.5, realised: 16.0 };
/// Share of its variance that sessions of months have in common: 0.33 and 0.43 in these two ways with VIX1D.
pub(crate) const LEVEL_PERSISTENCE: f64 = 0.4;

/// With VIX1D by the minute.
pub(crate) const VIX1D: VolModel = VolModel {
    intercept: [-0.028, -0.0246, -0.036, -0.0608, -0.0964, -0.0864, -0.0336, 0.0922, 0.2571, 0.4687, 0.7557, 1.2352],
    now: [0.9895, 0.7123],
    open: [0.0616, 0.205],
    vix: [-0.0551, -0.4498],
    recent: [-0.0036, 0.3348],
    fomc: [0.333, 0.1656, -0.0296],
    fomc_eve: -0.2077,
    cpi_eve: -0.1993,
    jobs_eve: -0.1043,
    late_earnings: 0.6781,
    late_input: -0.7542,
    skew: [-0.0681, -0.0195, 0.0045],
    curvature: [0.0376, -0.0387, -0.0178],
    wings: [0.0136, 0.0031, 0.0111],
};

/// With VIX by the minute.
pub(crate) const VIX: VolModel = VolModel {
    intercept: [-0.4058, -0.389, -0.4049, -0.4347, -0.4419, -0.3846, -0.3119, -0.1614, 0.0142, 0.2303, 0.5013, 0.9907],
    now: [0.9632, 0.9454],
    open: [-0.0205, -0.2843],
    vix: [-0.0368, -0.0546],
    recent: [0.4239, 0.4423],
    fomc: [0.7401, 0.2931, 0.0064],
    fomc_eve: -0.0649,
    cpi_eve: 0.0555,
    jobs_eve: 0.0448,
    late_earnings: 0.6701,
    late_input: -0.2066,
    skew: [-0.0624, -0.0162, -0.0076],
    curvature: [0.0521, -0.0435, -0.024],
    wings: [0.0098, 0.0086, 0.0108],
};

/// With the VIX of the day before.
pub(crate) const VIX_DAILY: VolModel = VolModel {
    intercept: [-0.3021, -0.282, -0.2949, -0.3294, -0.3378, -0.287, -0.2182, -0.0664, 0.0977, 0.3176, 0.5907, 1.0815],
    now: [0.8848, 0.808],
    open: [-0.1152, -0.192],
    vix: [-0.1152, -0.192],
    recent: [0.505, 0.4867],
    fomc: [0.7526, 0.2427, -0.028],
    fomc_eve: -0.0575,
    cpi_eve: 0.0195,
    jobs_eve: 0.0764,
    late_earnings: 0.6874,
    late_input: -0.2455,
    skew: [-0.064, -0.0167, -0.0249],
    curvature: [0.0531, -0.046, -0.0162],
    wings: [0.0081, 0.0099, 0.0124],
};

/// With the underlying's own realised volatility.
pub(crate) const REALISED: VolModel = VolModel {
    intercept: [0.1634, 0.1243, 0.0378, -0.04, -0.0775, -0.0453, -0.0006, 0.1363, 0.2861, 0.496, 0.7651, 1.2546],
    now: [1.0845, 0.9575],
    open: [-0.7432, -0.5214],
    vix: [0.0845, -0.0425],
    recent: [0.417, 0.4089],
    fomc: [0.8476, 0.3192, 0.0276],
    fomc_eve: 0.0124,
    cpi_eve: 0.0468,
    jobs_eve: 0.0871,
    late_earnings: 0.6901,
    late_input: -0.0201,
    skew: [-0.0688, -0.0182, -0.0018],
    curvature: [0.0371, -0.0367, -0.0123],
    wings: [0.0108, 0.0067, 0.0114],
};
