//! Names of container images, taken apart and put together. Pure.
//! (CAPI v1.14: util/container; distribution/reference)

use crate::contract::version::Version;

const DOCKER_HUB: &str = "docker.io";
const HUB_LIBRARY: &str = "library";

/// An image whose name says where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Registry and path, without the last part.
    pub(super) repository: String,
    /// Last part of the path.
    pub(super) name: String,
    /// Tag; may be empty.
    pub(super) tag: String,
    /// Digest; may be empty.
    digest: String,
}

impl Image {
    /// Takes a canonical name apart.
    ///
    /// # Errors
    /// Upstream's message.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let failed = |why: &str| format!("couldn't parse image name: {why}");
        let (name, tag, digest) = split(text).ok_or_else(|| failed("invalid reference format"))?;
        match name.rsplit_once('/') {
            Some((repository, last)) if has_registry(name) => Ok(Self {
                repository: repository.to_owned(),
                name: last.to_owned(),
                tag: tag.to_owned(),
                digest: digest.to_owned(),
            }),
            _ => Err(failed("repository name must be canonical")),
        }
    }
}

/// The image with another tag; names of Docker Hub become canonical.
///
/// # Errors
/// Upstream's message, for nonsense and for images that are named by their digest.
pub(super) fn with_tag(image: &str, version: &str) -> Result<String, String> {
    let Some((name, _, digest)) = split(image) else {
        return Err("failed to parse image name: invalid reference format".to_owned());
    };
    if !digest.is_empty() {
        return Err("image uses digest as version, cannot update tag ".to_owned());
    }
    let tag: String = version.chars().map(|c| if is_tag_character(c) { c } else { '_' }).collect();
    Ok(match (has_registry(name), name.contains('/')) {
        (true, _) => format!("{name}:{tag}"),
        (false, true) => format!("{DOCKER_HUB}/{name}:{tag}"),
        (false, false) => format!("{DOCKER_HUB}/{HUB_LIBRARY}/{name}:{tag}"),
    })
}

/// The image from another repository; names of Docker Hub become familiar.
///
/// # Errors
/// Upstream's message.
pub(super) fn with_repository(image: &str, repository: &str) -> Result<String, String> {
    let image =
        Image::parse(image).map_err(|error| format!("failed to parse image name: {error}"))?;
    if image.tag.is_empty() {
        return Err("image must be tagged".to_owned());
    }
    let name = format!("{}/{}", repository.trim_end_matches('/'), image.name);
    let familiar = name.strip_prefix("docker.io/library/").or(name.strip_prefix("docker.io/"));
    Ok(format!("{}:{}", familiar.unwrap_or(&name), image.tag))
}

/// The version that a tag names: `v` and missing numbers do not matter, and `_` stands for `+`.
pub(super) fn version_of_tag(tag: &str) -> Option<Version> {
    let tag = tag.trim().replace('_', "+");
    let text = tag.strip_prefix('v').unwrap_or(&tag);
    let mut parts: Vec<String> = text
        .splitn(3, '.')
        .map(|part| {
            let canonical = part.trim_start_matches('0');
            let is_number = canonical.starts_with(|c: char| c.is_ascii_digit());
            if is_number { canonical.to_owned() } else { format!("0{canonical}") }
        })
        .collect();
    if text.is_empty() || (parts.len() < 3 && parts.last()?.contains(['+', '-'])) {
        return None;
    }
    parts.resize(3, "0".to_owned());
    Version::parse(&parts.join("."))
}

/// Name, tag and digest.
fn split(image: &str) -> Option<(&str, &str, &str)> {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (rest, ""),
    };
    let path =
        if has_registry(name) { name.split_once('/').map_or("", |(_, path)| path) } else { name };
    let is_path = !path.is_empty()
        && path.split('/').all(|part| !part.is_empty())
        && path
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-".contains(&b));
    (is_path && tag.chars().all(is_tag_character)).then_some((name, tag, digest))
}

fn has_registry(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

fn is_tag_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_versions() {
        for (image, version, expected) in [
            ("registry.k8s.io/kube-proxy:v1.34.0", "v1.35.1", "registry.k8s.io/kube-proxy:v1.35.1"),
            (
                "localhost:5000/a/kube-proxy",
                "v1.35.1+b.1",
                "localhost:5000/a/kube-proxy:v1.35.1_b.1",
            ),
            ("kube-proxy:v1", "v2", "docker.io/library/kube-proxy:v2"),
            ("me/kube-proxy", "v2", "docker.io/me/kube-proxy:v2"),
        ] {
            assert_eq!(with_tag(image, version).as_deref(), Ok(expected));
        }
        assert!(with_tag("registry.k8s.io/a@sha256:00", "v1").is_err());
        assert!(with_tag("registry.k8s.io/A B", "v1").is_err());
    }

    #[test]
    fn repositories_are_replaced_as_a_whole() {
        let image = "registry.k8s.io/coredns/coredns:v1.12.1";
        assert_eq!(
            with_repository(image, "example.com/k8s/").as_deref(),
            Ok("example.com/k8s/coredns:v1.12.1")
        );
        assert_eq!(with_repository(image, "docker.io/me").as_deref(), Ok("me/coredns:v1.12.1"));
        assert_eq!(
            with_repository("coredns:v1", "example.com"),
            Err("failed to parse image name: couldn't parse image name: repository name must be \
                 canonical"
                .to_owned())
        );
    }

    #[test]
    fn tags_are_read_tolerantly() {
        for (tag, expected) in [
            ("v1.12.1", Some("1.12.1")),
            ("1.08", Some("1.8.0")),
            ("v1.9.3_eks.1", Some("1.9.3+eks.1")),
            ("1.6.7-rc.1", Some("1.6.7-rc.1")),
            ("latest", None),
            ("1.2-rc", None),
            ("", None),
        ] {
            let version = version_of_tag(tag).map(|version| version.to_string());
            assert_eq!(version.as_deref(), expected, "{tag}");
        }
    }
}
