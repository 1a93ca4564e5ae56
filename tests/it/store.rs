//! The store: a case for every method, that it does what it says, and each way it can end. Each database
//! runs them all.

mod audit_log;
mod copy;
mod crowd;
mod environment_keys;
mod environments;
mod fixture;
mod installation;
mod issuer_keys;
mod mints;
mod postgres;
mod postgres_tls;
mod sqlite;
mod tenants;

use std::sync::Arc;

use async_trait::async_trait;
use idp::{domain::Clock, ports::Store};

/// A database to try the cases on. A further one needs this and a line `conformance!(…)`.
#[async_trait]
trait Database: Send + Sync {
    /// A fresh, empty database; `None` where this machine cannot have one.
    async fn create() -> Option<Self>
    where
        Self: Sized;

    /// A store on it, as after a start of the server.
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store>;

    /// Does what somebody with access to the database can do behind the store's back.
    async fn tamper(&self, sql: &'static str);
}

macro_rules! conformance {
    ($database:ty) => {
        crate::store::conformance!($database:
            tenants: [
                organizations,
                organization_changes,
                projects,
                principals
            ],
            environments: [
                environments,
                environment_changes,
                join_tokens,
                stopping,
                enrolment,
                enrolment_refused,
                credentials
            ],
            issuer_keys: [
                issuer_keys,
                issuer_keys_that_collide,
                issuer_keys_step_by_step,
                issuer_keys_step_only_from_their_state,
                issuer_keys_are_vouched_for,
                issuer_keys_are_noted,
                outstanding_tokens,
                the_newest_time
            ],
            mints: [
                mints,
                mints_refused,
                jtis_outlive_a_restart,
                jtis_are_forgotten_once_expired
            ],
            audit_log: [
                audit,
                audit_chains_betray_edits,
                audit_searches,
                audit_chains_are_listed,
                audit_chains_are_cut
            ],
            installation: [
                usage,
                administrators,
                administrator_tokens,
                leases,
                closing
            ],
            environment_keys: [
                keys_are_replaced,
                the_grace_begins_with_the_first_use,
                quarantines,
                a_join_token_ends_all_keys_and_a_quarantine,
                former_keys_are_remembered_for_a_while
            ],
            crowd: [
                mints_together_end_each_its_own_way,
                one_assertion_many_times_mints_once,
                one_join_token_enrols_one,
                nothing_is_minted_after_a_stop,
                waiters_that_leave_harm_nobody,
                changes_and_mints_interleave,
                one_administrator_is_the_first,
                no_token_slips_past_a_replacement,
                one_of_many_rotations_is_applied
            ]
        );
    };
    ($database:ty: $($module:ident: [$($case:ident),*]),*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let Some(database) = <$database as super::Database>::create().await else {
                    return;
                };
                super::$module::$case(&database).await;
            }
        )*)*
    };
}
use conformance;
