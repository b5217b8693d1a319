//! The default volatility models, fitted by `zerodte calibrate --fit`; `configs/pricing.toml` holds the same numbers with
//! the report of the fit.

use jiff::civil::{Date, date};

use crate::VolModel;

/// First and last date of the SPY prints that the models were fitted on.
pub(crate) const FITTED: (Date, Date) = (date(2024, 1, 2), date(2025, 6, 30));

/// With VIX1D by the minute.
pub(crate) const VIX1D: VolModel = VolModel {
    intercept: [-0.0239, -0.0217, -0.0324, -0.0559, -0.0888, -0.0777, -0.0237, 0.1067, 0.2744, 0.4946, 0.7876, 1.2448],
    now: [0.9624, 0.734],
    open: [0.0754, 0.2112],
    vix: [-0.0427, -0.4926],
    recent: [0.003, 0.3259],
    fomc: [0.3618, 0.1667, -0.0013],
    fomc_eve: 0.0,
    cpi_eve: -0.2358,
    jobs_eve: 0.0,
    late_earnings: 1.0,
    late_input: -1.3,
    skew: [-0.0631, -0.0214, 0.0036],
    curvature: [0.0441, -0.0488, -0.0184],
    wings: [0.0117, 0.0063, 0.0107],
};

/// With VIX by the minute.
pub(crate) const VIX: VolModel = VolModel {
    intercept: [-0.3612, -0.3419, -0.357, -0.3888, -0.4005, -0.3443, -0.2801, -0.1284, 0.0503, 0.2746, 0.5559, 1.0246],
    now: [0.9554, 0.8883],
    open: [-0.0811, -0.205],
    vix: [-0.0446, -0.1117],
    recent: [0.433, 0.4586],
    fomc: [0.7622, 0.2583, 0.0134],
    fomc_eve: 0.0,
    cpi_eve: 0.0216,
    jobs_eve: 0.0,
    late_earnings: 1.0,
    late_input: 0.0,
    skew: [-0.0588, -0.0142, -0.0099],
    curvature: [0.067, -0.0623, -0.0249],
    wings: [0.0049, 0.0152, 0.0103],
};

/// With the VIX of the day before.
pub(crate) const VIX_DAILY: VolModel = VolModel {
    intercept: [-0.2657, -0.245, -0.2553, -0.2929, -0.3065, -0.257, -0.1991, -0.0464, 0.1201, 0.3528, 0.6392, 1.119],
    now: [0.862, 0.7979],
    open: [-0.138, -0.2021],
    vix: [-0.138, -0.2021],
    recent: [0.5073, 0.4929],
    fomc: [0.7802, 0.2226, -0.0155],
    fomc_eve: 0.0,
    cpi_eve: 0.0075,
    jobs_eve: 0.0,
    late_earnings: 1.0,
    late_input: 0.0,
    skew: [-0.0614, -0.0135, -0.026],
    curvature: [0.0677, -0.0642, -0.0172],
    wings: [0.0034, 0.0162, 0.0116],
};

/// With the underlying's own realised volatility.
pub(crate) const REALISED: VolModel = VolModel {
    intercept: [0.156, 0.1211, 0.0415, -0.0378, -0.0754, -0.0424, 0.0001, 0.1444, 0.2992, 0.5332, 0.8069, 1.2748],
    now: [1.1246, 0.8987],
    open: [-0.8099, -0.4231],
    vix: [0.1246, -0.1013],
    recent: [0.3965, 0.4292],
    fomc: [0.862, 0.3019, 0.0311],
    fomc_eve: 0.0,
    cpi_eve: 0.0246,
    jobs_eve: 0.0,
    late_earnings: 1.0,
    late_input: 0.0,
    skew: [-0.068, -0.0155, -0.0048],
    curvature: [0.0526, -0.0581, -0.0129],
    wings: [0.0057, 0.014, 0.011],
};
