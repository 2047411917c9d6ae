//! What is wrong, and the command or act that mends it.

use std::fmt;

use serde::Serialize;

use crate::print;

/// More examples than this help nobody on a terminal.
const EXAMPLES: usize = 5;

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// A stable word for scripts and alerts.
    code: &'static str,
    /// What is wrong.
    problem: String,
    /// How to mend it.
    mend: String,
    /// Some of the rows concerned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    examples: Vec<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding.
    pub(super) fn add(
        &mut self,
        code: &'static str,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add_with(code, problem, mend, &[]);
    }

    /// Adds a finding with some of the rows concerned.
    pub(super) fn add_with(
        &mut self,
        code: &'static str,
        problem: impl Into<String>,
        mend: impl Into<String>,
        examples: &[String],
    ) {
        let examples = examples
            .iter()
            .take(EXAMPLES)
            .map(|text| print::shortened(text, 200));
        self.0.push(Finding {
            code,
            problem: problem.into(),
            mend: mend.into(),
            examples: examples.collect(),
        });
    }

    /// All of them, in the order found.
    pub(super) fn all(&self) -> &[Finding] {
        &self.0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.code, self.problem)?;
        for example in &self.examples {
            writeln!(f, "    {example}")?;
        }
        writeln!(f, "  mend: {}", self.mend)
    }
}
