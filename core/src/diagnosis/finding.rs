//! What a check answers.

use crate::journal::Level;
use serde::Serialize;
use serde_json::{Map, Value};

/// What [`Gate::check`](crate::Gate::check) found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnosis {
    verdict: Verdict,
    findings: Vec<Finding>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The client has a token, and the gate would let it in.
    #[default]
    Ok,
    /// The provider refuses this client: its credentials, or what it may do.
    Refused,
    /// The provider cannot be reached, fails, is busy, or is too slow.
    Unreachable,
    /// Gate and provider do not fit: a setting is to be changed, on either side.
    Misconfigured,
}

/// Where in a check something was found, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// The settings and the credentials, before anybody is asked.
    Configuration,
    /// The provider's metadata.
    Discovery,
    /// The client credentials grant at the token endpoint.
    TokenRequest,
    /// What came: its kind, its lifetime, its scope and audience.
    Token,
    /// The provider's keys, and the token's signature.
    Signature,
    /// Whether the gate would let the token pass.
    Requirements,
}

/// One thing that was found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub step: Step,
    /// A notice says what is well, a warning what should be looked at, an error why it does not work.
    pub level: Level,
    /// A word for programs, such as `name_unresolved`.
    pub code: &'static str,
    /// What was found, in sentences.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// What there is to know beside, by name: `url`, `status`, `milliseconds`, …
    pub facts: Map<String, Value>,
}

impl Diagnosis {
    /// How it ended.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What was found, in the order of the steps. Where something is an error, it is the last.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// All of it as JSON: `{"verdict", "findings": [{"step", "level", "code", "message", "remedy", "facts"}]}`.
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

/// A line for the log as a sentence; the name of a setting stays as it is.
pub(super) fn sentence(line: &str) -> String {
    let first_word = line.split([' ', ':']).next().unwrap_or_default();
    let mut chars = line.chars();
    match chars.next() {
        Some(_) if first_word.contains('_') => format!("{line}."),
        Some(first) => first.to_uppercase().chain(chars).chain(['.']).collect(),
        None => "No more is known.".to_owned(),
    }
}
