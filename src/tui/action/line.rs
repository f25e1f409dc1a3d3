//! Acts as they are typed into the palette: capim's own verbs, with or without `capim` before them.

use super::{Action, NewClusters, RestartPart, Subject};
use crate::acts::{parse_control_planes, parse_version};
use crate::client::ObjectKey;

/// Why a line cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LineError(String);

/// Reads a line; `None` if it is no act. `namespace` and `version` are meant where the line says
/// nothing.
///
/// # Errors
/// [`LineError`] for a line that begins like an act.
pub fn parse(line: &str, namespace: &str, version: &str) -> Option<Result<Vec<Action>, LineError>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let words = words.strip_prefix(&["capim"]).unwrap_or(&words);
    let (verb, rest) = words.split_first()?;
    let rest = match (*verb, rest) {
        ("create" | "delete", ["cluster" | "clusters", rest @ ..]) => rest,
        ("rollout", ["restart", rest @ ..]) => rest,
        (_, rest) => rest,
    };
    // Without anything behind it, the verb opens its dialog.
    if rest.is_empty() {
        return None;
    }
    let read = match *verb {
        "create" | "add" => create,
        "scale" => scale,
        "upgrade" => upgrade,
        "restart" | "rollout" => restart,
        "pause" => |words: Words<'_>, _: &str| pause(words, true),
        "resume" => |words: Words<'_>, _: &str| pause(words, false),
        "delete" => delete,
        _ => return None,
    };
    Some(Words::of(rest, namespace).and_then(|words| read(words, version)))
}

/// The words after a verb: what has no dash, and flags with their values.
struct Words<'a> {
    plain: Vec<&'a str>,
    flags: Vec<(&'a str, &'a str)>,
    namespace: &'a str,
}

/// Flags that have no value.
const SWITCHES: [&str; 4] = ["--instant", "--kcp", "--yes", "-y"];

impl<'a> Words<'a> {
    fn of(words: &[&'a str], namespace: &'a str) -> Result<Self, LineError> {
        let mut read = Self { plain: Vec::new(), flags: Vec::new(), namespace };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                read.plain.push(word);
                continue;
            }
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, value),
                None if SWITCHES.contains(word) => (*word, ""),
                None => {
                    let value = words.next();
                    (*word, *value.ok_or_else(|| fault(format!("{word} needs a value")))?)
                }
            };
            match flag {
                "-n" | "--namespace" => read.namespace = value,
                flag => read.flags.push((flag, value)),
            }
        }
        Ok(read)
    }

    /// Takes a flag's value, as `read` reads it.
    fn take<T>(
        &mut self,
        names: &[&str],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, LineError> {
        let Some(index) = self.flags.iter().position(|(flag, _)| names.contains(flag)) else {
            return Ok(None);
        };
        let (flag, value) = self.flags.remove(index);
        read(value).map(Some).map_err(|error| fault(format!("{flag} {value}: {error}")))
    }

    fn has(&mut self, name: &str) -> bool {
        let before = self.flags.len();
        self.flags.retain(|(flag, _)| *flag != name);
        self.flags.len() < before
    }

    /// Refuses what nobody has taken.
    fn end(&self) -> Result<(), LineError> {
        match self.flags.first() {
            Some((flag, _)) => Err(fault(format!("unknown flag {flag}"))),
            None => Ok(()),
        }
    }

    fn one(&self) -> Result<ObjectKey, LineError> {
        match self.plain.as_slice() {
            [name] => Ok(ObjectKey::new(self.namespace, *name)),
            [] => Err(fault("which cluster?".to_owned())),
            [_, more, ..] => Err(fault(format!("one cluster at a time; what is {more:?}?"))),
        }
    }
}

fn fault(message: String) -> LineError {
    LineError(message)
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a number".to_owned())
}

fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

type Read = Result<Vec<Action>, LineError>;

fn create(mut words: Words<'_>, version: &str) -> Read {
    let new = NewClusters {
        count: words.take(&["-c", "--count"], number)?.unwrap_or(1),
        control_planes: words.take(&["--cp"], parse_control_planes)?.unwrap_or(1),
        workers: words.take(&["--workers"], number)?.unwrap_or(1),
        version: words
            .take(&["--k8s-version"], parse_version)?
            .unwrap_or_else(|| version.to_owned()),
        instant: words.has("--instant"),
        name: words.one()?.name,
        namespace: words.namespace.to_owned(),
    };
    words.end()?;
    Ok(vec![Action::Create(new)])
}

fn scale(mut words: Words<'_>, _: &str) -> Read {
    let workers = words.take(&["--workers"], str::parse)?;
    let deployment = words.take(&["--md"], text)?;
    let control_planes = words.take(&["--cp"], parse_control_planes)?;
    if workers.is_none() && control_planes.is_none() {
        return Err(fault("--workers N or --cp N?".to_owned()));
    }
    words.end()?;
    Ok(vec![Action::Scale { cluster: words.one()?, workers, deployment, control_planes }])
}

fn upgrade(mut words: Words<'_>, _: &str) -> Read {
    let to = words.take(&["--to"], parse_version)?;
    words.end()?;
    let version = match (to, words.plain.as_slice()) {
        (Some(version), _) => version,
        (None, [_, version]) => {
            let version = parse_version(version).map_err(fault)?;
            words.plain.pop();
            version
        }
        (None, _) => return Err(fault("to which version? e.g. --to v1.37.0".to_owned())),
    };
    Ok(vec![Action::Upgrade { cluster: words.one()?, version }])
}

fn restart(mut words: Words<'_>, _: &str) -> Read {
    let part = match (words.take(&["--md"], text)?, words.has("--kcp")) {
        (Some(name), _) => RestartPart::Deployment(name),
        (None, true) => RestartPart::ControlPlane,
        (None, false) => RestartPart::All,
    };
    words.end()?;
    Ok(vec![Action::Restart { cluster: words.one()?, part }])
}

/// Objects as typed: names of clusters, or KIND/NAME.
fn subjects(words: &Words<'_>) -> Vec<Subject> {
    let subject = |word: &&str| match word.split_once('/') {
        Some((kind, name)) => Subject::new(kind, words.namespace, name),
        None => Subject::cluster(words.namespace, word),
    };
    words.plain.iter().map(subject).collect()
}

fn pause(words: Words<'_>, paused: bool) -> Read {
    words.end()?;
    Ok(subjects(&words).into_iter().map(|subject| Action::Pause { subject, paused }).collect())
}

fn delete(mut words: Words<'_>, _: &str) -> Read {
    let _ = words.has("--yes") || words.has("-y");
    words.end()?;
    Ok(subjects(&words).into_iter().map(|subject| Action::Delete { subject }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Result<String, String>> {
        let actions = parse(line, "default", "v1.36.1")?;
        Some(actions.map_err(|error| error.to_string()).map(|actions| {
            let commands: Vec<String> = actions.iter().map(|action| action.command(&[])).collect();
            commands.join("; ")
        }))
    }

    #[test]
    fn a_typed_line_is_the_command_that_is_shown() {
        for line in [
            "capim scale demo --workers 20",
            "capim scale demo --workers -2 --md demo-md-0 --cp 3",
            "capim upgrade demo --to v1.37.0 -n team",
            "capim rollout restart demo --kcp",
            "capim pause machine/m",
            "capim delete cluster demo --yes",
            "capim create cluster demo --count 3 --cp 3 --workers 0 --k8s-version v1.35.0 --instant",
        ] {
            assert_eq!(read(line), Some(Ok(line.to_owned())), "{line}");
        }
    }

    #[test]
    fn short_forms_are_understood() {
        let ok = |line: &str| read(line).unwrap().unwrap();
        assert_eq!(ok("upgrade demo 1.37.0"), "capim upgrade demo --to v1.37.0");
        assert_eq!(ok("delete a b"), "capim delete cluster a --yes; capim delete cluster b --yes");
        assert_eq!(ok("scale demo --workers=5"), "capim scale demo --workers 5");
        assert!(ok("add demo").starts_with("capim create cluster demo --cp 1"));
    }

    #[test]
    fn what_is_no_act_is_left_to_others_and_mistakes_are_named() {
        assert_eq!(read("machines"), None);
        assert_eq!(read("scale"), None);
        assert_eq!(read(""), None);
        let bad = |line: &str| read(line).unwrap().unwrap_err();
        assert_eq!(bad("scale demo"), "--workers N or --cp N?");
        assert_eq!(
            bad("scale demo --workers many"),
            "--workers many: expected a number, or a change such as +2"
        );
        assert_eq!(bad("scale a b --workers 1"), "one cluster at a time; what is \"b\"?");
        assert_eq!(bad("scale demo --wokers 1"), "--workers N or --cp N?");
        assert_eq!(bad("upgrade demo"), "to which version? e.g. --to v1.37.0");
        assert_eq!(bad("restart demo --md"), "--md needs a value");
        assert_eq!(bad("pause demo --now x"), "unknown flag --now");
    }
}
