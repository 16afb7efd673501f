//! A run of drainit that has ended.

/// What was seen of one that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Finished {
    /// The exit code, checked.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Nothing was said on stderr.
    #[track_caller]
    pub(crate) fn silently(&self) -> &Self {
        assert!(self.stderr.is_empty(), "{self:#?}");
        self
    }

    /// These lines came, in this order, whatever came between them.
    #[track_caller]
    pub(crate) fn in_order(&self, lines: &[&str]) -> &Self {
        let mut rest = self.stdout.iter();
        for line in lines {
            assert!(rest.any(|seen| seen == line), "{line:?} is missing or out of order: {self:#?}");
        }
        self
    }

    /// How often the line came.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.stdout.iter().filter(|seen| *seen == line).count()
    }

    /// What drainit said: the command may write to stderr too.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.stderr.iter().map(String::as_str).filter(|line| line.starts_with("drainit: ")).collect()
    }

    /// What was said, but for what drainit adds if a stop is slow, as on a busy machine: what it waits for, and how it ended.
    fn essence(&self) -> impl Iterator<Item = &str> {
        let is_added =
            |line: &&str| line.contains(", waiting for ") || line.contains(": the stop is over after ");
        self.stderr.iter().map(String::as_str).filter(move |line| !is_added(line))
    }

    /// drainit said exactly one thing, a warning that has all of this in it.
    #[track_caller]
    pub(crate) fn warns(&self, parts: &[&str]) -> &Self {
        let warnings: Vec<&str> = self.essence().filter(|line| line.starts_with("drainit: ")).collect();
        let [line] = warnings.as_slice() else { panic!("not exactly one warning: {self:#?}") };
        assert!(line.starts_with("drainit: warning: "), "{self:#?}");
        for part in parts {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
        self
    }

    /// The one line on stderr.
    #[track_caller]
    pub(crate) fn complaint(&self) -> &str {
        let lines: Vec<&str> = self.essence().collect();
        let [line] = lines.as_slice() else { panic!("not exactly one line: {self:#?}") };
        line
    }
}
