//! Bucket configurations that are not built yet: asked for, they answer as a new bucket of AWS does;
//! removing what is not there succeeds; setting one is `NotImplemented`, which s3s answers itself.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Wire, action};

macro_rules! answers {
    ($($handler:ident: $operation:ident($input:ty) -> $output:ty = $answer:expr;)*) => {
        $(
            pub(super) async fn $handler(
                wire: &Wire,
                request: S3Request<$input>,
            ) -> S3Result<S3Response<$output>> {
                wire.at_bucket(&request, action::$operation)?;
                $answer.map(S3Response::new)
            }
        )*
    };
}

answers! {
    get_accelerate: GET_BUCKET_ACCELERATE_CONFIGURATION(GetBucketAccelerateConfigurationInput) ->
        GetBucketAccelerateConfigurationOutput = Ok(Default::default());
    get_cors: GET_BUCKET_CORS(GetBucketCorsInput) -> GetBucketCorsOutput =
        Err(s3_error!(NoSuchCORSConfiguration, "The CORS configuration does not exist"));
    get_lifecycle: GET_BUCKET_LIFECYCLE_CONFIGURATION(GetBucketLifecycleConfigurationInput) ->
        GetBucketLifecycleConfigurationOutput =
        Err(s3_error!(NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist"));
    get_logging: GET_BUCKET_LOGGING(GetBucketLoggingInput) -> GetBucketLoggingOutput =
        Ok(Default::default());
    get_notification: GET_BUCKET_NOTIFICATION_CONFIGURATION(GetBucketNotificationConfigurationInput) ->
        GetBucketNotificationConfigurationOutput = Ok(Default::default());
    get_policy: GET_BUCKET_POLICY(GetBucketPolicyInput) -> GetBucketPolicyOutput =
        Err(s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"));
    get_policy_status: GET_BUCKET_POLICY_STATUS(GetBucketPolicyStatusInput) ->
        GetBucketPolicyStatusOutput =
        Err(s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"));
    get_replication: GET_BUCKET_REPLICATION(GetBucketReplicationInput) ->
        GetBucketReplicationOutput = Err(s3_error!(
            ReplicationConfigurationNotFoundError,
            "The replication configuration was not found"
        ));
    get_request_payment: GET_BUCKET_REQUEST_PAYMENT(GetBucketRequestPaymentInput) ->
        GetBucketRequestPaymentOutput =
        Ok(GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) });
    get_website: GET_BUCKET_WEBSITE(GetBucketWebsiteInput) -> GetBucketWebsiteOutput =
        Err(s3_error!(
            NoSuchWebsiteConfiguration,
            "The specified bucket does not have a website configuration"
        ));

    delete_cors: DELETE_BUCKET_CORS(DeleteBucketCorsInput) -> DeleteBucketCorsOutput =
        Ok(Default::default());
    delete_lifecycle: DELETE_BUCKET_LIFECYCLE(DeleteBucketLifecycleInput) ->
        DeleteBucketLifecycleOutput = Ok(Default::default());
    delete_policy: DELETE_BUCKET_POLICY(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput =
        Ok(Default::default());
    delete_replication: DELETE_BUCKET_REPLICATION(DeleteBucketReplicationInput) ->
        DeleteBucketReplicationOutput = Ok(Default::default());
    delete_website: DELETE_BUCKET_WEBSITE(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput =
        Ok(Default::default());
}
