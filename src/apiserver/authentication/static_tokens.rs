//! Tokens of a file that is read at the start. (kubernetes 1.36:
//! apiserver/pkg/authentication/token/tokenfile)

use super::Identity;

/// A token and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticToken {
    /// The token.
    pub token: String,
    /// Its user, in the groups that the file gives and `system:authenticated`.
    pub identity: Identity,
}

impl StaticToken {
    /// Reads a file of lines `token,user,uid[,"group1,group2"]`. Lines without a token are skipped,
    /// of tokens that occur twice the last holds.
    ///
    /// # Errors
    /// kube-apiserver's message for a line with fewer than three columns.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, String> {
        let mut tokens: Vec<Self> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let columns = columns(line);
            let [token, user, uid, rest @ ..] = columns.as_slice() else {
                return Err(format!(
                    "token file must have at least 3 columns (token, user name, user uid), found {}",
                    columns.len()
                ));
            };
            if token.is_empty() {
                continue;
            }
            let groups = rest.first().map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
            let identity = Identity { uid: uid.as_str().into(), ..Identity::new(user, groups) };
            tokens.retain(|other| other.token != *token);
            tokens.push(Self { token: token.clone(), identity: identity.authenticated() });
        }
        Ok(tokens)
    }
}

/// The columns of a line: separated by commas, quoted where they contain one.
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut is_quoted = false;
    let mut chars = line.trim_end().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut columns, '"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => columns.push(String::new()),
            c => push(&mut columns, c),
        }
    }
    columns
}

fn push(columns: &mut [String], c: char) {
    if let Some(last) = columns.last_mut() {
        last.push(c);
    }
}

/// The user of a token. Every token is compared as a whole, so that time says nothing of them.
pub(super) fn find(tokens: &[StaticToken], token: &str) -> Option<Identity> {
    let mut found = None;
    for known in tokens {
        if is_same(known.token.as_bytes(), token.as_bytes()) {
            found = Some(known.identity.clone());
        }
    }
    found
}

/// Compares secrets in a time that depends on their length alone.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tokens_with_user_uid_and_groups() {
        let text = "t1,alice,1,\"dev,ops\"\n\nt2,bob,2\nt1,carol,3,x\n,nobody,4\n";
        let tokens = StaticToken::parse_file(text).unwrap();
        assert_eq!(tokens.len(), 2);
        let bob = find(&tokens, "t2").unwrap();
        assert_eq!((&*bob.user, &*bob.uid), ("bob", "2"));
        assert_eq!(bob.groups, vec!["system:authenticated".into()]);
        assert_eq!(&*find(&tokens, "t1").unwrap().user, "carol");
        assert_eq!(find(&tokens, "t"), None);
        let one = StaticToken::parse_file("t1,alice,1,\"dev,ops\"").unwrap();
        assert!(one[0].identity.is_member("ops") && one[0].identity.is_member("dev"));
        assert!(StaticToken::parse_file("t,u").unwrap_err().contains("found 2"));
    }
}
