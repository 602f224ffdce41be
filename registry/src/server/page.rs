//! Lists, a page at a time. Plain decisions.

use super::{refusal::Refusal, route::Query};

/// How many entries a page has at most, and if nothing is said.
pub(super) const ENTRIES_MAX: usize = 1_000;

/// What a client asks of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    count: usize,
    after: Option<String>,
}

impl Page {
    /// Reads `n` and `last`.
    pub fn parse(query: &Query) -> Result<Page, Refusal> {
        let count = match query.get("n") {
            None => ENTRIES_MAX,
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| Refusal::bad_request("`n` is how many entries to list: write a number"))?
                .min(ENTRIES_MAX),
        };
        Ok(Page { count, after: query.get("last").filter(|last| !last.is_empty()).map(str::to_owned) })
    }

    /// The names of this page, in the order of the alphabet, and the path of the next page, if there is one.
    pub fn of(&self, mut names: Vec<String>, path: &str) -> (Vec<String>, Option<String>) {
        names.sort_unstable_by_key(|name| key(name));
        if let Some(after) = &self.after {
            let after = key(after);
            names.retain(|name| key(name) > after);
        }
        let more = names.len() > self.count;
        names.truncate(self.count);
        let next = names
            .last()
            .filter(|_| more)
            .map(|last| next_page(path, &[("n", &self.count.to_string()), ("last", last)]));
        (names, next)
    }
}

/// Letters of either case stand together, as the specification wants it.
fn key(name: &str) -> (String, String) {
    (name.to_ascii_lowercase(), name.to_owned())
}

/// The value of `Link` for a page that begins with this query.
pub(super) fn next_page(path: &str, query: &[(&str, &str)]) -> String {
    let url = reqwest::Url::parse_with_params("http://registry/", query).expect("the parts of a query are escaped");
    format!("<{path}?{}>; rel=\"next\"", url.query().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Page {
        Page::parse(&Query::parse(Some(query))).unwrap()
    }

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let names: Vec<String> = (0..2_500).map(|number| format!("v{number}")).collect();
        let (mut seen, mut query) = (Vec::new(), String::new());
        loop {
            let (listed, next) = page(&query).of(names.clone(), "/v2/a/tags/list");
            seen.extend(listed);
            let Some(next) = next else { break };
            query = next.strip_prefix("</v2/a/tags/list?").unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        }
        let mut sorted = names;
        sorted.sort();
        assert_eq!(seen, sorted);
    }

    #[test]
    fn letters_of_either_case_stand_together() {
        let names = ["b", "B", "a", "C", "A"].map(str::to_owned).to_vec();
        assert_eq!(page("").of(names.clone(), "/").0, ["A", "a", "B", "b", "C"]);
        assert_eq!(page("last=a").of(names.clone(), "/").0, ["B", "b", "C"]);
        assert_eq!(
            page("n=2&last=a").of(names.clone(), "/p"),
            (vec!["B".to_owned(), "b".to_owned()], Some("</p?n=2&last=b>; rel=\"next\"".to_owned()))
        );
        assert_eq!(page("n=0").of(names, "/"), (Vec::new(), None));
        assert!(Page::parse(&Query::parse(Some("n=-1"))).is_err());
        assert_eq!(page("n=99999999"), page("n=1000"));
    }
}
