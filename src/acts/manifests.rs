//! Manifests from files, directories and stdin: multi-document YAML or JSON.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::ObjectKey;

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
}

impl Manifest {
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
        /// Position and cause.
        detail: String,
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
    },
    /// A directory holds no manifest.
    #[error("{directory} holds no .yaml, .yml or .json file")]
    Empty {
        /// Directory.
        directory: String,
    },
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
    let mut line = 1;
    for (index, source) in split_documents(text).into_iter().enumerate() {
        let document = index + 1;
        let first_line = line;
        line += source.lines().count() + 1;
        if source.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        let object: Value =
            serde_saphyr::from_str(source).map_err(|error| ManifestError::Syntax {
                file: file.to_owned(),
                document,
                detail: format!(
                    "(starts at line {first_line}) {}",
                    first_line_of(&error.to_string())
                ),
            })?;
        if object.is_null() {
            continue;
        }
        let mut push = |object| -> Result<(), ManifestError> {
            let manifest = Manifest { object, file: file.to_owned(), document };
            check(&manifest)?;
            manifests.push(manifest);
            Ok(())
        };
        match object {
            Value::Object(mut list) if list.get("kind").and_then(Value::as_str) == Some("List") => {
                let Some(Value::Array(items)) = list.remove("items") else { continue };
                items.into_iter().try_for_each(&mut push)?;
            }
            object => push(object)?,
        }
    }
    Ok(())
}

/// Splits at lines that start with `---`, as kubectl does.
fn split_documents(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let (mut start, mut position) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(&text[start..position]);
            start = position + line.len();
        }
        position += line.len();
    }
    documents.push(&text[start..]);
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
        assert!(error.starts_with("a.yaml, document 2: (starts at line 5)"), "{error}");
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
