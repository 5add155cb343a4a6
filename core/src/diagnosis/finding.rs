//! The result of a check.

use crate::journal::Level;
use serde::Serialize;
use serde_json::{Map, Value};

/// The findings of [`Gate::check`](crate::Gate::check).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnosis {
    verdict: Verdict,
    findings: Vec<Finding>,
}

/// The verdict of a check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The client got a token, and the gate would allow it.
    #[default]
    Ok,
    /// The provider refuses this client: its credentials or its permissions.
    Refused,
    /// The provider is unreachable, fails, rate-limits, or is too slow.
    Unreachable,
    /// The configurations of gate and provider do not match: one of them must change.
    Misconfigured,
}

/// The steps of a check, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// The settings and the credentials, before any request.
    Configuration,
    /// The provider's metadata.
    Discovery,
    /// The client credentials grant at the token endpoint.
    TokenRequest,
    /// The token: its kind, lifetime, scope and audience.
    Token,
    /// The provider's keys, and the token's signature.
    Signature,
    /// The gate's requirements.
    Requirements,
}

/// A finding.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The step.
    pub step: Step,
    /// Notice: a success. Warning: a risk. Error: the reason for a failure.
    pub level: Level,
    /// A name for programs, such as `name_unresolved`.
    pub code: &'static str,
    /// The finding, in sentences.
    pub message: String,
    /// The remedy.
    pub remedy: Option<String>,
    /// Further facts, by name: `url`, `status`, `milliseconds`, …
    pub facts: Map<String, Value>,
}

impl Diagnosis {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The findings, in the order of the steps. An error is the last.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The diagnosis as JSON: `{"verdict", "findings": [{"step", "level", "code", "message", "remedy", "facts"}]}`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds what ends the check.
    pub(super) fn fail(&mut self, verdict: Verdict, finding: Finding) {
        self.verdict = verdict;
        self.add(finding);
    }
}

impl Finding {
    pub(super) fn new(
        step: Step,
        level: Level,
        code: &'static str,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            step,
            level,
            code,
            message: message.into(),
            remedy: None,
            facts: Map::new(),
        }
    }

    pub(super) fn notice(step: Step, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::new(step, Level::Notice, code, message)
    }

    pub(super) fn warning(step: Step, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::new(step, Level::Warning, code, message)
    }

    pub(super) fn error(step: Step, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::new(step, Level::Error, code, message)
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Finding {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn fact(mut self, name: &str, value: impl Into<Value>) -> Finding {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// A log line as a sentence; a setting's name keeps its case.
pub(super) fn sentence(line: &str) -> String {
    let first_word = line.split([' ', ':']).next().unwrap_or_default();
    let mut chars = line.chars();
    match chars.next() {
        Some(_) if first_word.contains('_') => format!("{line}."),
        Some(first) => first.to_uppercase().chain(chars).chain(['.']).collect(),
        None => "No more is known.".to_owned(),
    }
}
