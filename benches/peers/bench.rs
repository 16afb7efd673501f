//! What every row works with.

use crate::candidates::Candidate;
use crate::stats::Effort;
use crate::tools::Tools;
use crate::watchdog::Watchdog;

pub(crate) struct Bench {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) tools: Tools,
    pub(crate) effort: Effort,
    pub(crate) watchdog: Watchdog,
}
