//! What can go wrong, in words for the one who can do something about it.

use std::fmt;

/// What went wrong, and what to do.
#[derive(Debug, Clone)]
pub struct Failure {
    what: String,
    advice: Option<String>,
    /// Trying again cannot help.
    pub lasting: bool,
}

impl Failure {
    /// Settings or files that cannot be used: the program ends.
    pub fn of_settings(what: impl Into<String>) -> Self {
        Self { what: what.into(), advice: None, lasting: true }
    }

    /// The stream cannot be had now: the program tries again.
    pub fn of_stream(what: impl Into<String>) -> Self {
        Self { what: what.into(), advice: None, lasting: false }
    }

    /// Says what to do.
    pub fn with_advice(self, advice: &str) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// An error that a pipeline posted; `lasting` where it is the recogniser's own.
    pub fn of_pipeline(error: &gst::message::Error, lasting: bool) -> Self {
        let (text, debug) = (error.error(), error.debug().unwrap_or_default());
        // The line that says where in GStreamer's sources it was is for nobody here.
        let detail = debug.lines().skip(1).map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let kind = |kind: gst::ResourceError| text.matches(kind);
        let failure = |what: &str, advice: &str| Self { what: what.into(), advice: Some(advice.into()), lasting };
        if lasting {
            return Self { what: text.to_string(), advice: None, lasting };
        }
        if kind(gst::ResourceError::NotAuthorized) || detail.contains("Unauthorized") {
            failure("the server asks for a user and password", "Type rtsp://USER:PASSWORD@HOST/PATH, or correct them.")
        } else if kind(gst::ResourceError::NotFound) {
            failure("the server knows no such stream (404)", "Look at the path in the URL.")
        } else if detail.starts_with("Failed to connect") || kind(gst::ResourceError::OpenReadWrite) {
            failure("the server cannot be reached", "Look at host and port in the URL; is the server on?")
        } else if text.matches(gst::CoreError::MissingPlugin) || text.matches(gst::StreamError::CodecNotFound) {
            let what = format!("no decoder for this stream: {}", reason(&text.to_string(), detail));
            Self { what, advice: Some("apt-get install gstreamer1.0-libav gstreamer1.0-plugins-bad".into()), lasting }
        } else {
            Self { what: reason(&text.to_string(), detail), advice: None, lasting }
        }
    }
}

fn reason(text: &str, detail: &str) -> String {
    if detail.is_empty() { text.to_owned() } else { format!("{} ({detail})", text.trim_end_matches('.')) }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.advice.iter().try_for_each(|advice| write!(f, ". {advice}"))
    }
}

impl std::error::Error for Failure {}

/// A URL that may be shown: without the password.
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:...@{host}{path}")
        }
        None => url.to_owned(),
    }
}
