//! From what Kafka says to what a caller can do.

use std::fmt;

use larder_core::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What an error of reading means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The client tries again by itself.
    Passing,
    /// The place, the partition or the topic isn't there any more.
    Gone,
    /// Some records are there and can't be read; the client goes on behind them.
    Unreadable,
    /// Nothing more comes.
    Final,
}

impl Fault {
    pub(super) fn of(error: &KafkaError) -> Self {
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Self::Final;
        }
        match error.rdkafka_error_code() {
            Some(
                Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::BrokerDestroy
                | Code::BrokerNotAvailable
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NetworkException
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::ReplicaNotAvailable
                | Code::KafkaStorageError
                | Code::OffsetNotAvailable
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::WaitingForCoordinator
                | Code::ThrottlingQuotaExceeded,
            ) => Self::Passing,
            Some(
                Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::LogTruncation
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicId,
            ) => Self::Gone,
            Some(
                Code::BadMessage
                | Code::BadCompression
                | Code::NotImplemented
                | Code::Underflow
                | Code::InvalidMessage
                | Code::InvalidMessageSize
                | Code::MessageSizeTooLarge
                | Code::UnsupportedCompressionType,
            ) => Self::Unreadable,
            _ => Self::Final,
        }
    }
}

/// The error of a Kafka that doesn't do what it was asked.
pub(super) fn down(words: impl fmt::Display, error: KafkaError) -> Error {
    let kind = match error.rdkafka_error_code() {
        Some(
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed,
        ) => ErrorKind::Config,
        Some(Code::OperationTimedOut | Code::RequestTimedOut) => ErrorKind::Timeout,
        // Another process has the lead by now.
        Some(
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::RebalanceInProgress,
        ) => ErrorKind::Refused,
        _ if matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)) => {
            ErrorKind::Config
        }
        _ => ErrorKind::SourceDown,
    };
    let message = format!("records from Kafka: {words}");
    // What the client says of its settings may repeat them.
    if let KafkaError::ClientConfig(_, _, key, _) = &error {
        return Error::new(kind, format!("{message}: `{key}` can't be what it is"));
    }
    Error::new(kind, message).caused_by(error)
}
