//! What a query can ask for, cursor paging above all: `?limit=…&cursor=…`, and `next_cursor` while there is
//! more.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract,
    http::{StatusCode, Uri},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::form_urlencoded;

use crate::{http::error::HttpError, service::Page};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

#[derive(Deserialize)]
struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Named for PageQuery {
    const NAMES: &'static [&'static str] = &["limit", "cursor"];
}

/// The page that is asked for. One row more than the limit is read, to see whether there is more.
#[derive(Debug)]
pub(super) struct Paging<Id> {
    limit: u32,
    after: Option<Id>,
}

impl<Id: Copy> Paging<Id> {
    pub(super) const fn page(&self) -> Page<Id> {
        Page {
            after: self.after,
            limit: self.limit + 1,
        }
    }

    /// How many items are asked for.
    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    /// Where the page before ended.
    pub(super) const fn after(&self) -> Option<Id> {
        self.after
    }

    /// Wraps a listing up.
    pub(super) fn items<T, U>(
        &self,
        mut rows: Vec<T>,
        id: impl Fn(&T) -> Id,
        render: impl Fn(T) -> U,
    ) -> Items<U>
    where
        Id: Display,
    {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Items {
            next_cursor: rows.last().filter(|_| more).map(|row| id(row).to_string()),
            items: rows.into_iter().map(render).collect(),
        }
    }
}

/// A page of a listing.
#[derive(Serialize)]
pub(super) struct Items<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> Items<T> {
    /// A page of a listing that knows itself where it goes on.
    pub(super) fn new(items: Vec<T>, next: Option<impl Display>) -> Self {
        Self {
            items,
            next_cursor: next.map(|next| next.to_string()),
        }
    }
}

/// What a query is read as. A parameter that is none of its names is refused, since whoever misspells a
/// filter would get everything.
pub(super) trait Query: Sized {
    /// The parameters that it knows.
    fn names() -> Vec<&'static str>;

    /// Reads it.
    ///
    /// # Errors
    /// A problem that names the parameter.
    fn read(uri: &Uri) -> Result<Self, HttpError>;
}

/// Refuses what is none of `names`.
pub(super) fn refuse_others(uri: &Uri, names: &[&str]) -> Result<(), HttpError> {
    let query = uri.query().unwrap_or_default();
    let mut given = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    let Some(unknown) = given.find(|name| !names.contains(&&**name)) else {
        return Ok(());
    };
    let shown: String = unknown.chars().take(80).collect();
    let known = match names {
        [] => "this takes none".to_owned(),
        names => format!("this takes {}", names.join(", ")),
    };
    Err(bad(format!("{shown:?} is not a parameter; {known}")))
}

/// The parameters in the query, as a structure has them.
pub(super) struct Parameters<T>(pub(super) T);

/// A structure with the names of its members.
pub(super) trait Named: DeserializeOwned {
    const NAMES: &'static [&'static str];
}

impl<T: Named> Query for Parameters<T> {
    fn names() -> Vec<&'static str> {
        T::NAMES.to_vec()
    }

    fn read(uri: &Uri) -> Result<Self, HttpError> {
        extract::Query::try_from_uri(uri)
            .map(|extract::Query(parameters)| Self(parameters))
            .map_err(|error| {
                let text = error.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ");
                bad(text.unwrap_or("the query is malformed").to_owned())
            })
    }
}

fn bad(detail: String) -> HttpError {
    HttpError::problem(StatusCode::BAD_REQUEST, detail)
}

impl<Id: FromStr> Query for Paging<Id> {
    fn names() -> Vec<&'static str> {
        Parameters::<PageQuery>::names()
    }

    fn read(uri: &Uri) -> Result<Self, HttpError> {
        let Parameters(query) = Parameters::<PageQuery>::read(uri)?;
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(bad(format!("limit must be from 1 to {MAX_LIMIT}")));
        }
        let after = query
            .cursor
            .map(|cursor| cursor.parse())
            .transpose()
            .map_err(|_| bad("cursor is not one that a listing gave as next_cursor".to_owned()))?;
        Ok(Self { limit, after })
    }
}

impl<A: Query, B: Query> Query for (A, B) {
    fn names() -> Vec<&'static str> {
        [A::names(), B::names()].concat()
    }

    fn read(uri: &Uri) -> Result<Self, HttpError> {
        Ok((A::read(uri)?, B::read(uri)?))
    }
}
