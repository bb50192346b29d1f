//! Two processes over a real Redis.

use larder_test::Redis;

use crate::files::shared_tier::run;

#[tokio::test]
async fn it_runs_over_a_redis_and_again_over_what_it_left_there() {
    let redis = Redis::start();
    for _ in 0..2 {
        run(&redis.url()).await.unwrap();
    }
}
