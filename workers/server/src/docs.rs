//! The site of `sluice quality docs`: a page for each suite and one that lists them, to be read from a folder. It needs no
//! server, no script and nothing from another host; its pages are made of the live page's pieces and have its style.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use maud::{DOCTYPE, Markup, html};
use quality::{Suite, versions::Version};
use sqlx::PgPool;

use crate::{
    store::{data, suites, suites::SuiteView},
    web::{
        self,
        suite::{self, Shown},
    },
};

/// What a site is made of.
#[derive(Debug)]
pub struct Docs<'a> {
    /// The project's name.
    pub project: &'a str,
    /// Of all times.
    pub timezone: Tz,
    /// The project's suites as its files have them: what they say is told from these.
    pub suites: Vec<&'a Suite>,
    /// When it is made.
    pub now: DateTime<Utc>,
}

/// One file of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocsFile {
    /// Its path below the site's folder.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Makes the site from what is in Postgres now.
pub async fn docs(pool: &PgPool, docs: &Docs<'_>) -> Result<Vec<DocsFile>, sqlx::Error> {
    let mut names = suites::names(pool).await?;
    names.extend(docs.suites.iter().map(|suite| suite.name.clone()));
    names.sort();
    names.dedup();
    let mut views = Vec::new();
    for name in &names {
        let mut view = SuiteView::read(pool, name).await?;
        if let Some(suite) = docs.suites.iter().find(|suite| suite.name == *name) {
            view.version = Some(Version::of(suite));
        }
        views.push(view);
    }
    let status = data::suites(pool).await?;
    let shown = Shown { zone: docs.timezone, live: false };
    let index = html! {
        (web::quality::site_list(&views, &status, shown))
    };
    let lead = html! { "What is checked before anyone reads it, how it went, and how it has been." };
    let mut files = vec![docs.page("index.html", "", "Data quality", lead, index)];
    for view in &views {
        let path = format!("suites/{}.html", file_name(&view.name));
        files.push(docs.page(&path, "../", &view.name, suite::lead(view), suite::body(view, shown)));
    }
    files.extend(
        web::assets::site().into_iter().map(|(name, content)| DocsFile { path: format!("assets/{name}"), content }),
    );
    Ok(files)
}

impl Docs<'_> {
    fn page(&self, path: &str, up: &str, title: &str, lead: Markup, body: Markup) -> DocsFile {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · " (self.project) }
                    link rel="icon" href={ (up) "assets/icon.svg" } type="image/svg+xml";
                    link rel="stylesheet" href={ (up) "assets/style.css" };
                }
                body.site {
                    main {
                        header.page-head {
                            @if !up.is_empty() { nav.crumbs { a href={ (up) "index.html" } { (self.project) " · Data quality" } } }
                            div.page-title { h1 { (title) } }
                            div.lead { (lead) }
                        }
                        (body)
                        p.site-foot {
                            (self.project) ", as of " (self.now.with_timezone(&self.timezone).format("%-d %B %Y, %H:%M %Z"))
                            " · Sluice " (env!("CARGO_PKG_VERSION"))
                        }
                    }
                }
            }
        };
        DocsFile { path: path.to_owned(), content: page.into_string().into_bytes() }
    }
}

/// The name of a suite's page: what would lead out of its folder is written otherwise.
pub(crate) fn file_name(suite: &str) -> String {
    suite.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '.' }).collect()
}
