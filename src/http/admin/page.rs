//! Cursor paging: `?limit=…&cursor=…`, and `next_cursor` while there is more.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{http::error::HttpError, service::Page};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

#[derive(Deserialize)]
struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
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

/// The parameters in the query; an error is a problem that names the parameter.
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(parameters)| Self(parameters))
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

impl<S: Send + Sync, Id: FromStr> FromRequestParts<S> for Paging<Id> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let Parameters(query) = Parameters::<PageQuery>::from_request_parts(parts, state).await?;
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
