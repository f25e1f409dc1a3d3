//! Query parameters and bodies that steer verbs: ListOptions, write options, DeleteOptions.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::request::RequestInfo;
use crate::machinery::status::{Cause, Status, quote};

const META_GROUP: &str = "meta.k8s.io";

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Exact,
    NotOlderThan,
}

/// The parameters of list and watch.
#[derive(Clone, Debug)]
pub(super) struct ListOptions<'a> {
    pub(super) label_selector: &'a str,
    pub(super) field_selector: &'a str,
    pub(super) limit: usize,
    pub(super) continue_token: &'a str,
    pub(super) resource_version: &'a str,
    pub(super) version_match: Option<Match>,
    pub(super) send_initial_events: Option<bool>,
    pub(super) allow_bookmarks: bool,
    /// Life of a watch; a negative one is over at once.
    pub(super) timeout_seconds: Option<i64>,
}

impl<'a> ListOptions<'a> {
    /// Reads and checks the parameters of a list or watch.
    ///
    /// # Errors
    /// 400 for what cannot be parsed, 422 for forbidden combinations.
    pub(super) fn parse(info: &'a RequestInfo, watch: bool) -> Result<Self, Box<Status>> {
        let limit = integer(info, "limit")?.unwrap_or(0);
        let timeout = integer(info, "timeoutSeconds")?;
        let version_match = info.text("resourceVersionMatch");
        let mut options = Self {
            label_selector: info.text("labelSelector"),
            field_selector: info.text("fieldSelector"),
            limit: usize::try_from(limit).unwrap_or(0),
            continue_token: info.text("continue"),
            resource_version: info.text("resourceVersion"),
            version_match: match version_match {
                "Exact" => Some(Match::Exact),
                "NotOlderThan" => Some(Match::NotOlderThan),
                _ => None,
            },
            send_initial_events: info
                .parameter("sendInitialEvents")
                .map(|_| info.flag("sendInitialEvents")),
            allow_bookmarks: info.flag("allowWatchBookmarks"),
            timeout_seconds: timeout,
        };
        if watch {
            options.default_watch(version_match);
        }
        let causes = if watch {
            options.check_watch(version_match)
        } else {
            options.check_list(version_match)
        };
        if causes.is_empty() {
            return Ok(options);
        }
        Err(Status::invalid(META_GROUP, "ListOptions", "", causes))
    }

    /// A watch without a revision asks for initial events, whether it says so or not.
    /// (kubernetes 1.36: apimachinery/pkg/apis/meta/internalversion/defaults.go)
    fn default_watch(&mut self, version_match: &str) {
        let unsaid = self.send_initial_events.is_none() && version_match.is_empty();
        if unsaid && matches!(self.resource_version, "" | "0") {
            self.send_initial_events = Some(true);
            self.version_match = Some(Match::NotOlderThan);
        }
    }

    /// The rules of `validateListOptions` for lists.
    fn check_list(&self, version_match: &str) -> Vec<Cause> {
        let mut causes = Vec::new();
        let field = "resourceVersionMatch";
        if !version_match.is_empty() {
            if self.resource_version.is_empty() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !self.continue_token.is_empty() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if self.version_match.is_none() {
                let supported = ["Exact", "NotOlderThan", ""];
                causes.push(Cause::not_supported(field, &version_match.into(), &supported));
            }
            if self.version_match == Some(Match::Exact) && self.resource_version == "0" {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.send_initial_events.is_some() {
            causes.push(Cause::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            ));
        }
        causes
    }

    /// The rules of `validateListOptions` for watches.
    fn check_watch(&self, version_match: &str) -> Vec<Cause> {
        let mut causes = Vec::new();
        let field = "resourceVersionMatch";
        let not_older = self.version_match == Some(Match::NotOlderThan);
        if self.send_initial_events.is_some() && !not_older {
            causes.push(Cause::forbidden(
                field,
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if !version_match.is_empty() {
            if self.send_initial_events.is_none() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                     provided",
                ));
            }
            if !not_older {
                let supported = ["NotOlderThan"];
                causes.push(Cause::not_supported(field, &version_match.into(), &supported));
            }
            if !self.continue_token.is_empty() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
        }
        causes
    }
}

/// An integer parameter; the error has Go's words.
fn integer(info: &RequestInfo, name: &str) -> Result<Option<i64>, Box<Status>> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let Some(text) = info.parameter(name) else { return Ok(None) };
    text.parse::<i64>().map(Some).map_err(|error| {
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Status::bad_request(format!("strconv.ParseInt: parsing {}: {why}", quote(text)))
    })
}

/// A resourceVersion as Go reads an unsigned number: digits alone.
pub(super) fn parse_revision(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

/// Go's message for a resourceVersion that is no number.
pub(super) fn revision_syntax(text: &str) -> String {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let why = if digits { "value out of range" } else { "invalid syntax" };
    let text = quote(text);
    format!("resourceVersion: Invalid value: {text}: strconv.ParseUint: parsing {text}: {why}")
}

/// What happens to fields that a schema does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The parameters of create, update and patch.
#[derive(Clone, Debug)]
pub(super) struct WriteOptions {
    pub(super) dry_run: bool,
    pub(super) field_manager: Option<String>,
    pub(super) validation: FieldValidation,
    pub(super) force: bool,
}

impl WriteOptions {
    /// Reads and checks the parameters; `kind` is the options kind that errors name.
    ///
    /// # Errors
    /// 422 for unknown values.
    pub(super) fn parse(info: &RequestInfo, kind: &str) -> Result<Self, Box<Status>> {
        let mut causes = Vec::new();
        let validation = match info.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                causes.push(Cause::not_supported("fieldValidation", &other.into(), &supported));
                FieldValidation::Warn
            }
        };
        let manager = info.text("fieldManager");
        check_field_manager(manager, "fieldManager", &mut causes);
        let dry_runs = info.query.iter().filter(|(name, _)| name == "dryRun");
        let dry_runs: Vec<&str> = dry_runs.map(|(_, value)| value.as_str()).collect();
        check_dry_run(&dry_runs, &mut causes);
        if !causes.is_empty() {
            return Err(Status::invalid(META_GROUP, kind, "", causes));
        }
        Ok(Self {
            dry_run: !dry_runs.is_empty(),
            field_manager: (!manager.is_empty()).then(|| manager.to_owned()),
            validation,
            force: info.flag("force"),
        })
    }
}

/// Checks a manager's name: not too long, nothing that does not print. (kubernetes 1.36:
/// apimachinery/pkg/apis/meta/v1/validation)
pub(super) fn check_field_manager(manager: &str, field: &str, causes: &mut Vec<Cause>) {
    if manager.len() > 128 {
        causes.push(Cause::too_long(field, 128));
    }
    let hidden = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
    for (position, c) in manager.char_indices().filter(|(_, c)| hidden(*c)) {
        let why = format!("invalid character U+{:04X} (at position {position})", u32::from(c));
        causes.push(Cause::invalid(field, &manager.into(), &why));
    }
}

fn check_dry_run(values: &[&str], causes: &mut Vec<Cause>) {
    if values.iter().any(|value| *value != "All") {
        let shown = Value::from(values.to_vec());
        causes.push(Cause::not_supported("dryRun", &shown, &["All"]));
    }
}

/// What a deletion does to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// `metav1.DeleteOptions`, from the body or the query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeleteOptions {
    kind: Option<String>,
    api_version: Option<String>,
    /// Grace period; kinds other than Pod ignore it.
    pub(super) grace_period_seconds: Option<i64>,
    /// What the object must be.
    pub(super) preconditions: Option<Preconditions>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    dry_run: Vec<String>,
}

/// `metav1.Preconditions`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Preconditions {
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads the options from the body, or from the query if there is no body.
    ///
    /// # Errors
    /// 400 for a body that is something else, 422 for unknown values.
    pub(super) fn parse(info: &RequestInfo, body: Option<Value>) -> Result<Self, Box<Status>> {
        let mut options = match body {
            Some(body) => Self::from_body(body)?,
            None => Self::from_query(info)?,
        };
        // kube-apiserver reads a negative grace period as one second.
        if options.grace_period_seconds.is_some_and(|seconds| seconds < 0) {
            options.grace_period_seconds = Some(1);
        }
        options.check()?;
        Ok(options)
    }

    fn from_body(body: Value) -> Result<Self, Box<Status>> {
        let options: Self = serde_json::from_value(body).map_err(|error| {
            Status::bad_request(format!("failed to read DeleteOptions: {error}"))
        })?;
        let kind = options.kind.as_deref().unwrap_or_default();
        if !matches!(kind, "" | "DeleteOptions") {
            let version = options.api_version.as_deref().unwrap_or_default();
            return Err(Status::bad_request(format!(
                "no kind \"{kind}\" is registered for version \"{version}\" in scheme \
                 \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
            )));
        }
        Ok(options)
    }

    fn from_query(info: &RequestInfo) -> Result<Self, Box<Status>> {
        let text = |name| info.parameter(name).map(str::to_owned);
        let dry_runs = info.query.iter().filter(|(name, _)| name == "dryRun");
        Ok(Self {
            grace_period_seconds: integer(info, "gracePeriodSeconds")?,
            orphan_dependents: info
                .parameter("orphanDependents")
                .map(|_| info.flag("orphanDependents")),
            propagation_policy: text("propagationPolicy"),
            dry_run: dry_runs.map(|(_, value)| value.clone()).collect(),
            ..Self::default()
        })
    }

    fn check(&self) -> Result<(), Box<Status>> {
        let mut causes = Vec::new();
        let field = "propagationPolicy";
        match self.propagation_policy.as_deref() {
            None => {}
            Some(policy) if self.orphan_dependents.is_some() => {
                let detail = "orphanDependents and deletionPropagation cannot be both set";
                causes.push(Cause::invalid(field, &policy.into(), detail));
            }
            Some("Foreground" | "Background" | "Orphan") => {}
            Some(other) => {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                causes.push(Cause::not_supported(field, &other.into(), &supported));
            }
        }
        let dry_runs: Vec<&str> = self.dry_run.iter().map(String::as_str).collect();
        check_dry_run(&dry_runs, &mut causes);
        if causes.is_empty() {
            return Ok(());
        }
        Err(Status::invalid(META_GROUP, "DeleteOptions", "", causes))
    }

    /// The options that are set, as admission shows them.
    pub(super) fn to_members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        put("gracePeriodSeconds", self.grace_period_seconds.map(Value::from));
        put("orphanDependents", self.orphan_dependents.map(Value::from));
        put("propagationPolicy", self.propagation_policy.clone().map(Value::from));
        put("dryRun", (!self.dry_run.is_empty()).then(|| self.dry_run.clone().into()));
        if let Some(wanted) = &self.preconditions {
            let mut preconditions = Map::new();
            let texts = [("uid", &wanted.uid), ("resourceVersion", &wanted.resource_version)];
            for (name, text) in texts {
                if let Some(text) = text {
                    preconditions.insert(name.to_owned(), text.as_str().into());
                }
            }
            members.insert("preconditions".to_owned(), preconditions.into());
        }
        members
    }

    /// Makes the deletion a dry run.
    pub(super) fn set_dry_run(&mut self) {
        self.dry_run = vec!["All".to_owned()];
    }

    /// Whether nothing is to be stored.
    pub(super) fn is_dry_run(&self) -> bool {
        !self.dry_run.is_empty()
    }

    /// What the client wants for dependents; `None` for the server's default.
    pub(super) fn propagation(&self) -> Option<Propagation> {
        match (self.propagation_policy.as_deref(), self.orphan_dependents) {
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some(_), _) | (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
        }
    }
}
