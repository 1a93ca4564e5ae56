//! The proxy between the clients that its users have (boto3, the AWS CLI, the AWS SDK for
//! JavaScript, curl) and servers that verify its signatures and behave as AWS does. Every part is
//! real: the issuer, the local STS, the proxy as a process of its own.

mod bucket;
mod certificates;
mod cloud;
mod curl;
mod faults;
mod large;
mod pattern;
mod refusals;
mod relay;
mod sdk;
mod stage;
mod users;
