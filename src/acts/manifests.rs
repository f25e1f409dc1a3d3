//! Manifests from files, directories and stdin: multi-document YAML or JSON.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::error::Place;
use crate::client::ObjectKey;
use crate::machinery::yaml_position::{Found, Step, find, steps};

/// Largest input that is read, the limit of an API request times a thousand.
const INPUT_BYTES_MAX: u64 = 3 << 30;

/// One object and where it came from.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The object.
    pub object: Value,
    /// File name, or `stdin`.
    pub file: String,
    /// Number of the document in its file, from 1.
    pub document: usize,
    /// The text that it was read from; `None` for what was made here.
    pub(super) source: Option<Source>,
}

/// The document that a manifest was read from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// All of the file.
    text: Arc<str>,
    /// The document in it.
    range: Range<usize>,
    /// Line of the file in which the document begins, from 1.
    first_line: usize,
    /// Which item of a List it is.
    item: Option<usize>,
}

/// Which end of a field an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// Its name: there should be no such field.
    Name,
    /// Its value.
    Value,
}

impl Manifest {
    /// An object that no file has; `file` names it in errors.
    pub fn made(object: Value, file: impl Into<String>) -> Self {
        Self { object, file: file.into(), document: 1, source: None }
    }

    /// Where the first of some fields that leads furthest is written, or what is written around it.
    pub(crate) fn place<'a>(
        &self,
        fields: impl IntoIterator<Item = &'a str>,
        about: About,
    ) -> Option<Place> {
        let source = self.source.as_ref()?;
        let before = match source.item {
            Some(index) => vec![Step::Field("items".to_owned()), Step::Item(index)],
            None => Vec::new(),
        };
        let text = &source.text[source.range.clone()];
        let mut best: Option<(Found, bool)> = None;
        for field in fields {
            let path: Vec<Step> = before.iter().cloned().chain(steps(field)).collect();
            let Some(found) = find(text, &path) else { continue };
            if best.as_ref().is_none_or(|(best, _)| found.depth > best.depth) {
                best = Some((found, found.depth == path.len()));
            }
        }
        let (found, is_whole) = match best {
            Some(best) => best,
            None => (find(text, &before)?, false),
        };
        let scalar = found.scalar.filter(|_| is_whole && about == About::Value);
        let position = scalar.unwrap_or(found.key);
        let line = source.first_line + position.line - 1;
        Some(Place { file: self.file.clone(), line, column: position.column })
    }

    /// Key of the object if it is a Cluster; `namespace` is used if it names none.
    pub fn cluster_key(&self, namespace: &str) -> Option<ObjectKey> {
        let api_version = self.object["apiVersion"].as_str()?;
        if self.object["kind"] != "Cluster" || !api_version.starts_with("cluster.x-k8s.io/") {
            return None;
        }
        let metadata = &self.object["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or(namespace);
        Some(ObjectKey::new(namespace, metadata["name"].as_str()?))
    }
}

/// Why manifests could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file can not be read.
    #[error("failed to read {file}: {source}")]
    Read {
        /// File.
        file: String,
        /// Cause.
        source: std::io::Error,
    },
    /// A document is not YAML.
    #[error("{file}, document {document}: {detail}")]
    Syntax {
        /// File.
        file: String,
        /// Number of the document, from 1.
        document: usize,
        /// Cause.
        detail: String,
        /// Where it is.
        place: Option<Place>,
    },
    /// A document is YAML but not a Kubernetes object.
    #[error("{file}, document {document}: {detail}")]
    NotAnObject {
        /// File.
        file: String,
        /// Number of the document, from 1.
        document: usize,
        /// What is missing.
        detail: String,
        /// Where the document begins.
        place: Option<Place>,
    },
    /// A directory holds no manifest.
    #[error("{directory} holds no .yaml, .yml or .json file")]
    Empty {
        /// Directory.
        directory: String,
    },
}

impl ManifestError {
    /// Where in a file it is.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. } | Self::NotAnObject { place, .. } => place.as_ref(),
            Self::Read { .. } | Self::Empty { .. } => None,
        }
    }
}

/// Examples that are part of the executable, by the path they have in the source tree, so that
/// `capim up -f examples/quick-start.yaml` works from any directory.
const EXAMPLES: &[(&str, &str)] = &[
    ("examples/quick-start.yaml", include_str!("../../examples/quick-start.yaml")),
    ("examples/machine-pool.yaml", include_str!("../../examples/machine-pool.yaml")),
    (
        "examples/cluster-resource-set.yaml",
        include_str!("../../examples/cluster-resource-set.yaml"),
    ),
    ("examples/quick-start-v1beta1.yaml", include_str!("../../examples/quick-start-v1beta1.yaml")),
    ("examples/in-memory-v1alpha1.yaml", include_str!("../../examples/in-memory-v1alpha1.yaml")),
    ("assets/classes/in-memory.yaml", include_str!("../../assets/classes/in-memory.yaml")),
    ("assets/classes/instant.yaml", include_str!("../../assets/classes/instant.yaml")),
    ("assets/classes/cloud.yaml", include_str!("../../assets/classes/cloud.yaml")),
    (
        "assets/classes/in-memory-quick-start.yaml",
        include_str!("../../assets/classes/in-memory-quick-start.yaml"),
    ),
];

/// An example that is part of the executable.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// Name, as `capim examples` takes it.
    pub name: &'static str,
    /// Manifests, YAML.
    pub content: &'static str,
}

impl Example {
    /// All examples.
    pub fn all() -> impl Iterator<Item = Self> {
        EXAMPLES.iter().map(|(path, content)| {
            let file = path.rsplit_once('/').map_or(*path, |(_, file)| file);
            Self { name: file.strip_suffix(".yaml").unwrap_or(file), content }
        })
    }

    /// What the example is: the comment at its beginning, up to its first full stop or colon.
    pub fn summary(self) -> String {
        let comment = self.content.lines().map_while(|line| line.strip_prefix('#'));
        let text = comment.map(str::trim).collect::<Vec<_>>().join(" ");
        let end = text.find([':', ';']).or_else(|| text.find(". ")).unwrap_or(text.len());
        text[..end].trim_end_matches('.').to_owned()
    }
}

/// Reads the objects of files (`-` is stdin), directories (in order of file names, not deep) and
/// built-in examples.
///
/// # Errors
/// The first file that can not be read or document that is not an object.
pub fn read_manifests(paths: &[PathBuf]) -> Result<Vec<Manifest>, ManifestError> {
    let mut manifests = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            parse("stdin", &read(std::io::stdin().lock(), "stdin")?, &mut manifests)?;
        } else if path.is_dir() {
            read_directory(path, &mut manifests)?;
        } else {
            parse(&path.display().to_string(), &read_file(path)?, &mut manifests)?;
        }
    }
    Ok(manifests)
}

/// Reads the objects of a text; `file` names it in errors.
///
/// # Errors
/// The first document that is not an object.
pub fn parse_manifests(file: &str, text: &str) -> Result<Vec<Manifest>, ManifestError> {
    let mut manifests = Vec::new();
    parse(file, text, &mut manifests)?;
    Ok(manifests)
}

fn read_directory(directory: &Path, manifests: &mut Vec<Manifest>) -> Result<(), ManifestError> {
    let name = || directory.display().to_string();
    let entries = std::fs::read_dir(directory)
        .map_err(|source| ManifestError::Read { file: name(), source })?;
    let is_manifest = |path: &PathBuf| {
        path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension == *known)
        })
    };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_manifest).collect();
    if files.is_empty() {
        return Err(ManifestError::Empty { directory: name() });
    }
    files.sort();
    for file in files {
        parse(&file.display().to_string(), &read_file(&file)?, manifests)?;
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, ManifestError> {
    let file = path.display().to_string();
    match std::fs::File::open(path) {
        Ok(handle) => read(handle, &file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => EXAMPLES
            .iter()
            .find(|(name, _)| Path::new(name) == path)
            .map(|(_, content)| (*content).to_owned())
            .ok_or(ManifestError::Read { file, source: error }),
        Err(source) => Err(ManifestError::Read { file, source }),
    }
}

fn read(input: impl Read, file: &str) -> Result<String, ManifestError> {
    let mut text = String::new();
    match input.take(INPUT_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(source) => Err(ManifestError::Read { file: file.to_owned(), source }),
    }
}

fn parse(file: &str, text: &str, manifests: &mut Vec<Manifest>) -> Result<(), ManifestError> {
    let whole: Arc<str> = text.into();
    let (mut end, mut lines) = (0, 0);
    for (index, range) in split_documents(text).into_iter().enumerate() {
        lines += text[end..range.start].matches('\n').count();
        end = range.start;
        let source = Source { text: Arc::clone(&whole), range, first_line: lines + 1, item: None };
        document(file, index + 1, source, manifests)?;
    }
    Ok(())
}

/// Reads one document: an object, a List of objects, or nothing.
fn document(
    file: &str,
    document: usize,
    source: Source,
    manifests: &mut Vec<Manifest>,
) -> Result<(), ManifestError> {
    let text = &source.text[source.range.clone()];
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(());
    }
    let object: Value = serde_saphyr::from_str(text)
        .map_err(|error| broken(file, document, source.first_line, &error))?;
    if object.is_null() {
        return Ok(());
    }
    let mut push = |object, item| -> Result<(), ManifestError> {
        let source = Some(Source { item, ..source.clone() });
        let manifest = Manifest { object, file: file.to_owned(), document, source };
        check(&manifest)?;
        manifests.push(manifest);
        Ok(())
    };
    match object {
        Value::Object(mut list) if list.get("kind").and_then(Value::as_str) == Some("List") => {
            let Some(Value::Array(items)) = list.remove("items") else { return Ok(()) };
            let mut items = items.into_iter().enumerate();
            items.try_for_each(|(index, item)| push(item, Some(index)))
        }
        object => push(object, None),
    }
}

/// A document that is no YAML. Lines are those of the file.
fn broken(
    file: &str,
    document: usize,
    first_line: usize,
    error: &serde_saphyr::Error,
) -> ManifestError {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let place = error.location().filter(|it| it.line() > 0).map(|it| Place {
        file: file.to_owned(),
        line: first_line + number(it.line()) - 1,
        column: number(it.column()),
    });
    let text = error.to_string();
    let text = first_line_of(&text).trim_start_matches("error: ");
    // The place follows in lines of the file.
    let detail = match text.split_once(": ") {
        Some((before, cause)) if place.is_some() && before.starts_with("line ") => cause,
        _ => text,
    };
    let detail = detail.to_owned();
    ManifestError::Syntax { file: file.to_owned(), document, detail, place }
}

/// Splits at lines that start with `---`, as kubectl does.
fn split_documents(text: &str) -> Vec<Range<usize>> {
    let mut documents = Vec::new();
    let (mut start, mut position) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(start..position);
            start = position + line.len();
        }
        position += line.len();
    }
    documents.push(start..text.len());
    documents
}

fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    let object = &manifest.object;
    let text = |pointer: &str| {
        object.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    let missing = if !object.is_object() {
        "is not a mapping"
    } else if !text("/apiVersion") {
        "has no apiVersion"
    } else if !text("/kind") {
        "has no kind"
    } else if !text("/metadata/name") && !text("/metadata/generateName") {
        "has no metadata.name"
    } else {
        return Ok(());
    };
    Err(ManifestError::NotAnObject {
        file: manifest.file.clone(),
        document: manifest.document,
        detail: format!("the document {missing}"),
        place: manifest.place([], About::Name),
    })
}

fn first_line_of(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Manifest>, String> {
        let mut manifests = Vec::new();
        parse("a.yaml", text, &mut manifests).map(|()| manifests).map_err(|error| error.to_string())
    }

    const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    #[test]
    fn documents_lists_and_comments() {
        let text = format!(
            "# intro\n---\n{OBJECT}---\n\n---\napiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Secret, metadata: {{name: b}}}}\n"
        );
        let kinds: Vec<_> =
            parsed(&text).unwrap().iter().map(|m| m.object["kind"].clone()).collect();
        assert_eq!(kinds, ["ConfigMap", "Secret"]);
    }

    #[test]
    fn broken_yaml_names_file_and_document() {
        let error = parsed(&format!("{OBJECT}---\na: [1\n")).unwrap_err();
        assert!(error.starts_with("a.yaml, document 2: "), "{error}");
        let mut manifests = Vec::new();
        let error = parse("a.yaml", &format!("{OBJECT}---\na: [1\n"), &mut manifests).unwrap_err();
        let place = error.place().map(|place| (place.line, place.column));
        assert!(place.is_some_and(|(line, _)| line >= 5), "{place:?}");
    }

    #[test]
    fn fields_have_their_place_in_the_file() {
        let text = format!(
            "# intro\n---\n{OBJECT}data:\n  a: x\n--- # next\n{OBJECT}data: {{b: y}}\n---\nkind: List\nitems:\n- {OBJECT}"
        );
        let text = text.replace(
            "- apiVersion: v1\nkind: ConfigMap\nmeta",
            "- apiVersion: v1\n  kind: ConfigMap\n  meta",
        );
        let all = parsed(&text).unwrap();
        let place = |index: usize, field: &str, about| {
            let manifest: &Manifest = &all[index];
            let place = manifest.place([field], about).unwrap();
            (place.line, place.column)
        };
        assert_eq!(place(0, "data.a", About::Value), (7, 6));
        assert_eq!(place(0, "data.a", About::Name), (7, 3));
        assert_eq!(place(0, "data.z", About::Value), (6, 1));
        assert_eq!(place(0, "metadata.name", About::Value), (5, 18));
        assert_eq!(place(1, ".data.b", About::Value), (12, 11));
        assert_eq!(place(2, "kind", About::Value), (17, 9));
        assert_eq!(place(2, "nosuch", About::Value), (16, 3));
        assert_eq!(Manifest::made(Value::Null, "x").place(["a"], About::Value), None);
    }

    #[test]
    fn documents_without_identity_are_refused() {
        assert_eq!(
            parsed("kind: A\n").unwrap_err(),
            "a.yaml, document 1: the document has no apiVersion"
        );
        assert_eq!(
            parsed("- 1\n").unwrap_err(),
            "a.yaml, document 1: the document is not a mapping"
        );
    }

    #[test]
    fn built_in_examples_are_found_from_any_directory() {
        let manifests = read_manifests(&[PathBuf::from("examples/quick-start.yaml")]).unwrap();
        assert!(manifests.iter().any(|manifest| manifest.object["kind"] == "Cluster"));
    }
}
