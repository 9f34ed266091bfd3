//! Messages as files, for channels that have no server or webhook yet.

use std::{io, path::PathBuf};

use serde::Serialize;

use super::{Claimed, Undelivered};

/// Where they land.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// As [`Folder::put`], what would have been posted.
    pub(super) async fn put_json(&self, message: &Claimed, body: &impl Serialize) -> Result<String, Undelivered> {
        let text = serde_json::to_vec_pretty(body).map_err(|error| Undelivered::Never(error.to_string()))?;
        Ok(self.put(message, "json", &text).await?)
    }

    /// Writes `<outbox_id>-<subject>.<extension>`, whole or not at all; gives its path.
    pub(super) async fn put(&self, message: &Claimed, extension: &str, bytes: &[u8]) -> io::Result<String> {
        tokio::fs::create_dir_all(&self.0).await?;
        let name = format!("{}-{}.{extension}", message.outbox_id, slug(&message.subject));
        let path = self.0.join(&name);
        let part = self.0.join(format!(".{name}.{}", message.attempts));
        tokio::fs::write(&part, bytes).await?;
        tokio::fs::rename(&part, &path).await?;
        Ok(path.display().to_string())
    }
}

/// Letters and digits in lower case, joined by hyphens; 48 characters at most.
fn slug(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    slug.truncate(48);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_slug_is_fit_for_a_file_name() {
        assert_eq!(super::slug("[high] fraud: 14 × €3.50 on c_1/../x"), "high-fraud-14-3-50-on-c-1-x");
        assert!(super::slug(&"very long ".repeat(20)).len() <= 48);
    }
}
