//! Lists of indexes such as `1,3-5,7`. (kubernetes 1.36: pkg/apis/batch/validation)

use crate::machinery::status::quote;

/// Counts the indexes of a list, each below `completions`.
///
/// # Errors
/// Upstream's words for what is no list in rising order.
pub(super) fn count(list: &str, completions: i64) -> Result<i64, String> {
    if list.is_empty() {
        return Ok(0);
    }
    let (mut last, mut total) = (None, 0);
    for interval in list.split(',') {
        let (first, end) = parse(interval, completions)?;
        if let Some(last) = last
            && last >= first
        {
            return Err(not_rising(last, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

fn parse(interval: &str, completions: i64) -> Result<(i64, i64), String> {
    let limits: Vec<&str> = interval.split('-').collect();
    let number = |text: &str| {
        let number: i64 = text
            .parse()
            .map_err(|_| format!("cannot convert string to integer for index: {}", quote(text)))?;
        if number >= completions {
            return Err(format!("too large index: {}", quote(text)));
        }
        Ok(number)
    };
    match limits[..] {
        [one] => number(one).map(|one| (one, one)),
        [first, end] => {
            let (first, end) = (number(first)?, number(end)?);
            if first >= end { Err(not_rising(first, end)) } else { Ok((first, end)) }
        }
        _ => Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two \
             parts separated by '-'",
            quote(interval)
        )),
    }
}

fn not_rising(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}
