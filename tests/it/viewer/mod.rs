//! docs/report-viewer.html in a real browser: what it draws and says, that no report can harm it, and that everyone can use it.
//!
//! If Chromium or chromedriver is missing the tests say so and pass; with `DRAINIT_REQUIRE_RUNTIMES=1` they fail.

mod access;
mod ci;
mod drawn;
mod driver;
mod judged;
mod page;
mod picture;
mod reports;
mod safe;
