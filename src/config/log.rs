//! `[log]`.

use super::Reader;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The least important lines that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs somebody to act.
    Error,
    /// What may soon.
    Warn,
    /// What changes: starts, stops, rotations, reloads.
    #[default]
    Info,
    /// Every request.
    Debug,
    /// Everything.
    Trace,
}

impl LogFormat {
    /// The name in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl LogLevel {
    const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The name in settings and in filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// As set; text on a terminal and JSON elsewhere if `None`.
    pub format: Option<LogFormat>,
    /// How much.
    pub level: LogLevel,
}

pub(super) fn read(reader: &mut Reader<'_>) -> LogSettings {
    LogSettings {
        format: reader.optional_with("log.format", |text| match text {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err("is neither \"json\" nor \"text\"".to_owned()),
        }),
        level: reader
            .optional_with("log.level", |text| {
                LogLevel::ALL
                    .into_iter()
                    .find(|level| level.as_str() == text)
                    .ok_or_else(|| "is none of error, warn, info, debug, trace".to_owned())
            })
            .unwrap_or_default(),
    }
}
