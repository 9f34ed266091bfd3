//! From the bytes of a file to UTF-8, with what a first look tells: hash, encoding.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use encoding_rs::{Decoder, Encoding as Charset, UTF_16BE, UTF_16LE, WINDOWS_1252};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

const PIECE: usize = 64 * 1024;
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file writes its characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    /// UTF-8 or UTF-16 by its byte order mark; else UTF-8 if the whole file is; else Windows-1252.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// UTF-8. A row that is none is rejected.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, big-endian only if a byte order mark says so.
    #[serde(rename = "utf-16")]
    Utf16,
    /// Windows-1252, which many call Latin-1.
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// ISO 8859-1: every byte is the character of that number.
    #[serde(rename = "latin1")]
    Latin1,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Windows1252 => "Windows-1252",
            Self::Latin1 => "ISO 8859-1",
        }
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

/// What a first pass over a file tells.
#[derive(Debug)]
pub(super) struct Look {
    /// SHA-256 of the file as it stands, in hex.
    pub(super) hash: String,
    /// The encoding to read it in; never [`Encoding::Auto`].
    pub(super) encoding: Encoding,
}

/// Reads the whole file once. Memory stays at a few buffers.
pub(super) fn look(path: &Path, wanted: Encoding) -> io::Result<Look> {
    let mut hash = Sha256::new();
    let mut raw = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        match raw.read(&mut piece)? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    let hash = workflow::hex::encode(&hash.finalize());
    let encoding = if wanted == Encoding::Auto { detect(open_raw(path)?)? } else { wanted };
    Ok(Look { hash, encoding })
}

fn detect(mut input: impl Read) -> io::Result<Encoding> {
    let mut held = Vec::new();
    let mut first = true;
    loop {
        let before = held.len();
        held.resize(before + PIECE, 0);
        let read = input.read(&mut held[before..])?;
        held.truncate(before + read);
        if first && (held.starts_with(b"\xff\xfe") || held.starts_with(b"\xfe\xff")) {
            return Ok(Encoding::Utf16);
        }
        first = false;
        let end = match std::str::from_utf8(&held) {
            Ok(_) => held.len(),
            // A character may be cut in two by the end of a piece, never by the end of the file.
            Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
            Err(_) => return Ok(Encoding::Windows1252),
        };
        held.drain(..end);
        if read == 0 {
            return Ok(Encoding::Utf8);
        }
    }
}

/// The file's text as UTF-8 without a byte order mark; gzip (`.gz`) is unpacked. In [`Encoding::Utf8`] the bytes are
/// passed on as they are, valid or not.
pub(super) fn open(path: &Path, encoding: Encoding) -> io::Result<Box<dyn BufRead + Send>> {
    let mut raw = BufReader::with_capacity(PIECE, open_raw(path)?);
    let transcode = |charset: &'static Charset, raw| -> Box<dyn BufRead + Send> {
        Box::new(BufReader::with_capacity(PIECE, Transcoder::new(charset, raw)))
    };
    Ok(match encoding {
        Encoding::Auto | Encoding::Utf8 => {
            if raw.fill_buf()?.starts_with(UTF_8_MARK) {
                raw.consume(UTF_8_MARK.len());
            }
            Box::new(raw)
        }
        Encoding::Utf16 => {
            let charset = if raw.fill_buf()?.starts_with(b"\xfe\xff") { UTF_16BE } else { UTF_16LE };
            transcode(charset, raw)
        }
        Encoding::Windows1252 => transcode(WINDOWS_1252, raw),
        Encoding::Latin1 => Box::new(BufReader::with_capacity(PIECE, Latin1 { raw, ready: Vec::new(), at: 0 })),
    })
}

type Raw = BufReader<Box<dyn Read + Send>>;

fn open_raw(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    let packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if packed { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) })
}

struct Transcoder {
    raw: Raw,
    decoder: Decoder,
    ready: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Transcoder {
    fn new(charset: &'static Charset, raw: Raw) -> Self {
        Self { raw, decoder: charset.new_decoder(), ready: Vec::new(), at: 0, ended: false }
    }
}

impl Read for Transcoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.ready.len() && !self.ended {
            let input = self.raw.fill_buf()?;
            self.ended = input.is_empty();
            let room = self.decoder.max_utf8_buffer_length(input.len()).unwrap_or(PIECE * 4);
            self.ready.resize(room, 0);
            self.at = 0;
            let (_, read, written, _) = self.decoder.decode_to_utf8(input, &mut self.ready, self.ended);
            self.ready.truncate(written);
            self.raw.consume(read);
        }
        Ok(hand_over(&self.ready, &mut self.at, out))
    }
}

struct Latin1 {
    raw: Raw,
    ready: Vec<u8>,
    at: usize,
}

impl Read for Latin1 {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() {
            let input = self.raw.fill_buf()?;
            let text: String = input.iter().map(|byte| char::from(*byte)).collect();
            let read = input.len();
            self.raw.consume(read);
            self.ready = text.into_bytes();
            self.at = 0;
        }
        Ok(hand_over(&self.ready, &mut self.at, out))
    }
}

fn hand_over(ready: &[u8], at: &mut usize, out: &mut [u8]) -> usize {
    let length = out.len().min(ready.len() - *at);
    out[..length].copy_from_slice(&ready[*at..*at + length]);
    *at += length;
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], wanted: Encoding) -> (Encoding, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.csv");
        std::fs::write(&path, bytes).expect("a file");
        let encoding = look(&path, wanted).expect("a look").encoding;
        let mut text = Vec::new();
        open(&path, encoding).expect("open").read_to_end(&mut text).expect("read");
        (encoding, String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn the_encoding_is_found_by_mark_or_by_content() {
        assert_eq!(decoded(b"\xef\xbb\xbfa;\xc3\xbc", Encoding::Auto), (Encoding::Utf8, "a;ü".to_owned()));
        assert_eq!(decoded(b"a;\xc3\xbc", Encoding::Auto), (Encoding::Utf8, "a;ü".to_owned()));
        assert_eq!(decoded(b"a;\xfc\x80", Encoding::Auto), (Encoding::Windows1252, "a;ü€".to_owned()));
        assert_eq!(decoded(b"a;\xfc\x80", Encoding::Latin1), (Encoding::Latin1, "a;ü\u{80}".to_owned()));
        assert_eq!(decoded(b"\xff\xfea\0\xfc\0", Encoding::Auto), (Encoding::Utf16, "aü".to_owned()));
        assert_eq!(decoded(b"\xfe\xff\0a\0\xfc", Encoding::Auto), (Encoding::Utf16, "aü".to_owned()));
        // A character across two pieces is still one.
        let mut long = vec![b'a'; PIECE - 1];
        long.extend("ü".as_bytes());
        assert_eq!(decoded(&long, Encoding::Auto).0, Encoding::Utf8);
        long.pop();
        assert_eq!(decoded(&long, Encoding::Auto).0, Encoding::Windows1252);
    }
}
