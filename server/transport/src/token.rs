//! The token that a peer on TCP must show: 32 random bytes as hex, in a file that only its owner can read.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// A secret that opens the node's TCP door. It is compared in constant time and never printed.
#[derive(Clone)]
pub struct Token {
    hex: String,
}

impl Token {
    /// Makes a new token from the system's randomness.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| io::Error::other(format!("no randomness for a token: {error}")))?;
        Ok(Self { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() })
    }

    /// Makes a new token and writes it to `path`, mode 0600. The file must not exist.
    pub fn create(path: &Path) -> io::Result<Self> {
        let token = Self::generate()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(path)?;
        file.write_all(token.hex.as_bytes())?;
        Ok(token)
    }

    /// Whether `offered` is this token. Takes the same time wherever the first difference is.
    pub fn matches(&self, offered: &str) -> bool {
        let offered = offered.trim_end().as_bytes();
        let own = self.hex.as_bytes();
        if offered.len() != own.len() {
            return false;
        }
        let difference = own.iter().zip(offered).fold(0, |difference, (a, b)| difference | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn matches_what_the_file_says_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = Token::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 64);
        assert!(token.matches(&text));
        assert!(token.matches(&format!("{text}\n")));
        assert!(!token.matches(""));
        assert!(!token.matches(&text[1..]));
        assert!(!token.matches(&"0".repeat(64)));
        assert!(!format!("{token:?}").contains(&text));
        assert!(Token::create(&path).is_err(), "an existing file is never reused");
    }
}
