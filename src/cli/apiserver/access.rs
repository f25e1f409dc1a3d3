//! Flags that say who may.

use std::sync::Arc;

use super::certificates;
use super::flags::Flags;
use crate::embed::{Access, AuthorizationMode, PublicKey, SigningKey, StaticToken};

/// Modes of `--authorization-mode`. (kubernetes 1.36: pkg/kubeapiserver/authorizer/modes)
const MODES: [&str; 6] = ["AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node"];

/// What the flags say. Without `--authorization-mode` everything is allowed, and nobody is
/// anonymous then, as of kube-apiserver; `Node`, which narrows what Nodes may, counts as RBAC.
/// (kubernetes 1.36: pkg/kubeapiserver/options/authentication.go, ApplyAuthorization)
///
/// # Errors
/// kube-apiserver's words for an unknown mode; which file cannot be read, and why.
pub(super) fn of(flags: &Flags) -> Result<Access, String> {
    let mut access = Access { mode: mode(flags)?, ..Access::default() };
    if let [issuer, ..] = flags.all("service-account-issuer") {
        // The first one signs, and is the audience, too.
        issuer.clone_into(&mut access.issuer);
        access.audiences = vec![issuer.clone()];
    }
    if let Some(path) = flags.last("service-account-signing-key-file") {
        let key = SigningKey::from_pem(&certificates::read(path)?);
        access.signing_key =
            Some(Arc::new(key.map_err(|error| format!("failed to read {path}: {error}"))?));
    }
    for path in flags.list("service-account-key-file") {
        let keys = PublicKey::all_from_pem(&certificates::read(path)?);
        access.token_keys.extend(keys.map_err(|error| format!("failed to read {path}: {error}"))?);
    }
    if let Some(path) = flags.last("token-auth-file") {
        access.tokens = StaticToken::parse_file(&certificates::read(path)?)?;
    }
    access.anonymous = flags.last("anonymous-auth") != Some("false") && !allows_all(flags);
    Ok(access)
}

/// Whether everything is allowed in the end.
fn allows_all(flags: &Flags) -> bool {
    let modes = flags.list("authorization-mode");
    modes.is_empty() || modes.contains(&"AlwaysAllow")
}

/// The first mode that has an answer to everything decides in the end.
fn mode(flags: &Flags) -> Result<AuthorizationMode, String> {
    let modes = flags.list("authorization-mode");
    if let Some(mode) = modes.iter().find(|mode| !MODES.contains(mode)) {
        return Err(format!("authorization-mode \"{mode}\" is not a valid mode"));
    }
    let asks = |mode: &str| modes.contains(&mode);
    let has_roles = asks("RBAC") || asks("Node");
    Ok(match () {
        () if allows_all(flags) => AuthorizationMode::AlwaysAllow,
        () if has_roles => AuthorizationMode::Rbac,
        () => AuthorizationMode::AlwaysDeny,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Access, String> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        of(&Flags::parse(&arguments)?)
    }

    #[test]
    fn modes_decide_in_the_end() {
        let mode = |text: &str| parse(text).unwrap().mode;
        assert_eq!(mode(""), AuthorizationMode::AlwaysAllow);
        assert!(!parse("").unwrap().anonymous, "nobody is anonymous where everybody may");
        assert!(parse("--authorization-mode=RBAC").unwrap().anonymous);
        assert_eq!(mode("--authorization-mode=Node,RBAC"), AuthorizationMode::Rbac);
        assert_eq!(mode("--authorization-mode=RBAC,AlwaysAllow"), AuthorizationMode::AlwaysAllow);
        assert_eq!(mode("--authorization-mode=AlwaysDeny"), AuthorizationMode::AlwaysDeny);
        let error = parse("--authorization-mode=Nope").unwrap_err();
        assert_eq!(error, "authorization-mode \"Nope\" is not a valid mode");
    }

    #[test]
    fn files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let key = crate::embed::generate_key_pem(Default::default()).unwrap();
        let key = write("key.pem", &key);
        let tokens = write("tokens.csv", "t,alice,1\n");
        let access = parse(&format!(
            "--service-account-signing-key-file={key} --service-account-key-file={key} \
             --service-account-issuer=https://x --token-auth-file={tokens} --anonymous-auth=false"
        ))
        .unwrap();
        assert_eq!(access.issuer, "https://x");
        assert_eq!(access.audiences, ["https://x"]);
        assert_eq!(access.tokens[0].token, "t");
        assert!(!access.anonymous);
        let signing = access.signing_key.unwrap();
        assert_eq!(access.token_keys, [signing.public().clone()]);
        assert!(parse("--token-auth-file=/nowhere").is_err());
        assert!(parse(&format!("--service-account-key-file={tokens}")).is_err());
    }
}
