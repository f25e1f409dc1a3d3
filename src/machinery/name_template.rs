//! Templates of names of objects to come: of Machines in MachineDeployments and control planes, of
//! what a ClusterClass has made. (CAPI v1.14: internal/topology/names)

use serde_json::Value;

use super::gotemplate::{Options, Template};
use super::status::quote;

/// Longest name; longer ones are cut and get a random end.
const NAME_MAX: usize = 63;

/// The name that a Go template with Go's own functions gives for `data`. One over 63 bytes is cut
/// to have room for `random`, its new end.
///
/// # Errors
/// What is wrong with the template, in upstream's words.
pub fn render(template: &str, data: &Value, random: &str) -> Result<String, String> {
    let options = Options { has_sprig: false, requires_keys: true };
    let parsed = Template::parse_with("template name generator", template, options)
        .map_err(|error| format!("parsing template {}: {error}", quote(template)))?;
    let mut name = parsed.execute(data).map_err(|error| format!("rendering template: {error}"))?;
    if name.len() > NAME_MAX {
        let room = NAME_MAX.saturating_sub(random.len());
        let cut = (0..=room).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(cut);
        name.push_str(random);
    }
    Ok(name)
}
