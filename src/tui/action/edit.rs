//! An object in an editor, and files for people.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::Value;

use super::Subject;
use crate::acts::{Failure, Served};
use crate::client::{Client, ObjectKey, percent_encode};
use crate::machinery::patch::merge;
use crate::machinery::yaml;

/// Largest text that is read back.
const TEXT_MAX: u64 = 3 << 20;

/// An object that is being edited: its text lies in a private file.
pub(in crate::tui) struct Editing {
    subject: Subject,
    before: Value,
    text: String,
    directory: PathBuf,
    file: PathBuf,
    /// Path of the object in the API.
    path: String,
}

/// How the edited object was taken.
pub(in crate::tui) enum Edited {
    /// It is as it was.
    Unchanged,
    /// The API has the change.
    Changed,
}

impl Editing {
    /// Reads an object and writes it to a file for the editor.
    ///
    /// # Errors
    /// It does not exist, or no file can be written.
    pub(in crate::tui) async fn begin(client: &Client, subject: &Subject) -> Result<Self, Failure> {
        let served = Served::discover(client).await?;
        let kind = served.find(&subject.resource)?;
        let mut before = kind.require(client, &subject.namespace, &subject.name).await?;
        if let Some(metadata) = before["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        let text = serde_saphyr::to_string(&before).map_err(Failure::other)?;
        let written = private_file(&text);
        let (directory, file) = written
            .map_err(|error| Failure::other(format!("failed to write a file to edit: {error}")))?;
        let path = kind.object_path(&subject.namespace, &subject.name);
        Ok(Self { subject: subject.clone(), before, text, directory, file, path })
    }

    /// Runs the editor: `KUBE_EDITOR`, `VISUAL`, `EDITOR` or vi. Several words are taken for a
    /// command with its arguments, as kubectl does.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(in crate::tui) async fn run_editor(&self) -> io::Result<ExitStatus> {
        let set = |name| std::env::var(name).ok().filter(|editor: &String| !editor.is_empty());
        let editor = ["KUBE_EDITOR", "VISUAL", "EDITOR"].into_iter().find_map(set);
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        let line = format!("{editor} \"$1\"");
        let mut child = tokio::process::Command::new("/bin/sh");
        child.args(["-c", &line, "editor"]).arg(&self.file).status().await
    }

    /// Sends what was changed. The file goes when that succeeds, and stays otherwise.
    ///
    /// # Errors
    /// The text is no object, or the API refuses; the message says where the text is.
    pub(in crate::tui) async fn finish(&self, client: &Client) -> Result<Edited, Failure> {
        let keep =
            |failure: Failure| failure.hint(format!("your text is in {}", self.file.display()));
        let text = read(&self.file).map_err(Failure::other).map_err(keep)?;
        if text == self.text {
            self.discard();
            return Ok(Edited::Unchanged);
        }
        let typed = self.subject.typed();
        let after = yaml::parse(&text).map(|document| document.value);
        let after =
            after.map_err(|error| Failure::other(format!("{typed}: {error}"))).map_err(keep)?;
        let identity = |object: &Value| {
            let (metadata, kind) = (&object["metadata"], &object["kind"]);
            (kind.clone(), metadata["namespace"].clone(), metadata["name"].clone())
        };
        if identity(&after) != identity(&self.before) {
            let message = format!("{typed}: kind, namespace and name cannot be edited");
            return Err(keep(Failure::other(message)));
        }
        // As with kubectl, what others change meanwhile stays unless the same field was edited.
        let Some(patch) = merge::diff(&self.before, &after) else {
            self.discard();
            return Ok(Edited::Unchanged);
        };
        let sent = client.merge_patch_json(&self.path, &patch).await;
        sent.map_err(|error| keep(Failure::request(&format!("change {typed}"), &error)))?;
        self.discard();
        Ok(Edited::Changed)
    }

    /// What is edited, as people say it.
    pub(in crate::tui) fn name(&self) -> String {
        self.subject.typed()
    }

    /// Removes the file.
    pub(in crate::tui) fn discard(&self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A file that only its owner can read, alone in a new directory.
fn private_file(text: &str) -> io::Result<(PathBuf, PathBuf)> {
    let root = std::env::temp_dir();
    let own = std::process::id();
    for number in 0..1_000 {
        let directory = root.join(format!("capim-edit-{own}-{number}"));
        match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {
                let file = directory.join("object.yaml");
                write_new(&file, text.as_bytes())?;
                return Ok((directory, file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files are being edited"))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

fn read(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > TEXT_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the text is too long"));
    }
    std::fs::read_to_string(path)
}

/// Writes a workload cluster's kubeconfig into the current directory, mode 0600, never over
/// another file. Answers the name of the file.
///
/// # Errors
/// If it exists, or the directory does not allow it.
pub(in crate::tui) fn save_kubeconfig(cluster: &ObjectKey, text: &[u8]) -> io::Result<String> {
    // Names have passed the server; whatever they are, they stay in this directory.
    let name = format!("{}.kubeconfig", percent_encode(&cluster.name));
    write_new(Path::new(&name), text)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_to_edit_are_private_and_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (directory, file) = private_file("a: 1\n").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
        assert_eq!(read(&file).unwrap(), "a: 1\n");
        assert!(write_new(&file, b"other").is_err());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
