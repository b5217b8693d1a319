//! Links between documents, and from documents to files.

use super::{Page, project};

/// Returns the targets of the links in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split(')').next())
}

/// Returns the anchor of a heading, as it is written in links.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

fn anchors(page: &Page) -> Vec<String> {
    let headings = page.prose().map(|(_, line)| line).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = Page::all();
    pages.push(Page::read("benches/RESULTS.md".to_owned()));
    let (mut faults, mut count) = (Vec::new(), 0);
    for page in &pages {
        let folder = project().join(&page.name).parent().unwrap().to_owned();
        for (number, line) in page.prose() {
            for target in targets(line).filter(|target| !target.starts_with("http")) {
                count += 1;
                let (file, heading) = target.split_once('#').map_or((target, None), |(file, at)| (file, Some(at)));
                let path = if file.is_empty() { project().join(&page.name) } else { folder.join(file) };
                let Ok(path) = path.canonicalize() else {
                    faults.push(format!("{}:{}: there is no {file}", page.name, number + 1));
                    continue;
                };
                let found = pages
                    .iter()
                    .find(|page| project().join(&page.name).canonicalize().is_ok_and(|known| known == path));
                if let Some(heading) = heading
                    && !found.is_some_and(|page| anchors(page).iter().any(|anchor| anchor == heading))
                {
                    faults.push(format!("{}:{}: there is no heading {target}", page.name, number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 10, "{count} links");
}

#[test]
fn targets_and_anchors_are_found() {
    assert_eq!(targets("see [a](b.md#c), ![d](e.svg)").collect::<Vec<_>>(), ["b.md#c", "e.svg"]);
    assert_eq!(anchor(" What a result is worth: P&L"), "what-a-result-is-worth-pl");
}
