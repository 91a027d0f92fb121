//! Tests of reviews against a simulated API server.

use kube::Config;
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, Request as Received, Respond, ResponseTemplate};

use super::*;

fn permission(resource: &str, namespace: Option<&str>) -> Permission {
    Permission {
        group: "apps".to_owned(),
        resource: resource.to_owned(),
        verb: "watch".to_owned(),
        namespace: namespace.map(str::to_owned),
        name: None,
    }
}

fn client(address: &str) -> Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut config = Config::new(address.parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

async fn answering(answer: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path(PATH)).respond_with(answer).mount(&server).await;
    server
}

fn status(code: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(code)
        .set_body_json(json!({"kind": "Status", "code": code, "message": message}))
}

fn allowed(yes: bool) -> ResponseTemplate {
    ResponseTemplate::new(201).set_body_json(json!({"status": {"allowed": yes}}))
}

async fn one(answer: ResponseTemplate) -> Result<Answer, ReviewError> {
    let server = answering(answer).await;
    let reviewed = review(&client(&server.uri()), &[permission("deployments", None)]).await?;
    Ok(reviewed[0].1.clone())
}

#[tokio::test]
async fn the_answers_come_in_the_order_of_the_rights() {
    // The server delays earlier reviews longer, so that the answers arrive in reverse order.
    let server = answering(|request: &Received| {
        let asked: Value = request.body_json().unwrap();
        let namespace = asked["spec"]["resourceAttributes"]["namespace"].as_str().unwrap();
        let number: u64 = namespace.parse().unwrap();
        allowed(number.is_multiple_of(2)).set_delay(Duration::from_millis(20 * (20 - number)))
    })
    .await;
    let permissions: Vec<Permission> =
        (0..20).map(|number| permission("deployments", Some(&number.to_string()))).collect();
    let reviewed = review(&client(&server.uri()), &permissions).await.unwrap();
    assert_eq!(
        reviewed.iter().map(|(permission, _)| permission.clone()).collect::<Vec<_>>(),
        permissions
    );
    for (place, (_, answer)) in reviewed.iter().enumerate() {
        assert_eq!(*answer == Answer::Granted, place % 2 == 0, "{place}");
    }
}

#[tokio::test]
async fn a_review_names_every_part_of_the_right() {
    let server = MockServer::start().await;
    let attributes = json!({
        "verb": "get", "group": "apps", "resource": "deployments", "subresource": "scale",
        "namespace": "a", "name": "web",
    });
    Mock::given(body_partial_json(json!({"spec": {"resourceAttributes": attributes}})))
        .respond_with(allowed(true))
        .mount(&server)
        .await;
    let permission = Permission {
        verb: "get".to_owned(),
        name: Some("web".to_owned()),
        ..permission("deployments/scale", Some("a"))
    };
    let reviewed = review(&client(&server.uri()), &[permission]).await.unwrap();
    assert_eq!(reviewed[0].1, Answer::Granted);
}

#[tokio::test]
async fn a_denied_right_is_missing_with_the_authorizers_reason() {
    let missing = |why: &str| Ok(Answer::Missing { why: why.to_owned() });
    assert_eq!(one(allowed(false)).await, missing("no rule allows it"));
    let reasoned = ResponseTemplate::new(201).set_body_json(json!({"status": {
        "allowed": false, "reason": "denied by policy", "evaluationError": "role \"x\" not found",
    }}));
    assert_eq!(one(reasoned).await, missing("denied by policy: role \"x\" not found"));
}

#[tokio::test]
async fn a_review_that_is_refused_leaves_the_right_unknown() {
    let unknown = |why: &str| Ok(Answer::Unknown { why: why.to_owned() });
    assert_eq!(
        one(status(403, "User \"x\" cannot create")).await,
        unknown("not reviewed: status 403: User \"x\" cannot create")
    );
}

#[tokio::test]
async fn a_busy_api_server_is_asked_again() {
    let server = MockServer::start().await;
    let busy = status(429, "too many").insert_header("Retry-After", "0");
    Mock::given(method("POST")).respond_with(busy).up_to_n_times(2).mount(&server).await;
    Mock::given(method("POST")).respond_with(allowed(true)).mount(&server).await;
    let reviewed = review(&client(&server.uri()), &[permission("pods", None)]).await.unwrap();
    assert_eq!(reviewed[0].1, Answer::Granted);
    assert_eq!(
        one(status(503, "shutting down").insert_header("Retry-After", "0")).await,
        Ok(Answer::Unknown { why: "not reviewed: status 503: shutting down".to_owned() })
    );
}

#[tokio::test]
async fn what_makes_every_review_useless_is_an_error() {
    let text = |outcome: Result<Answer, ReviewError>| outcome.unwrap_err().to_string();
    assert_eq!(
        text(one(status(401, "Unauthorized")).await),
        "the API server answered 401: Unauthorized; hint: the credential is wrong or has \
         expired, make a new one"
    );
    assert_eq!(
        text(one(ResponseTemplate::new(404).set_body_string("<html>\n nothing here")).await),
        "what answers is no Kubernetes API server: status 404: <html> nothing here; hint: check \
         the address, its path and proxies"
    );
    let gateway = ResponseTemplate::new(502).insert_header("Retry-After", "0");
    assert_eq!(
        text(one(gateway.set_body_string("bad gateway")).await),
        "the API server gives no answer: status 502: bad gateway; hint: try again when it is well"
    );
    let nobody =
        review(&client("http://127.0.0.1:1"), &[permission("pods", None)]).await.unwrap_err();
    assert_eq!(
        nobody.to_string(),
        "the API server cannot be reached: client error (Connect): tcp connect error: Connection \
         refused (os error 111); hint: check the address and the network"
    );
}

#[tokio::test]
async fn a_probe_shows_whether_the_credential_is_taken() {
    let server = answering(allowed(false)).await;
    assert_eq!(probe(&client(&server.uri())).await, Ok(()));
    let server = answering(status(401, "Unauthorized")).await;
    assert!(matches!(probe(&client(&server.uri())).await, Err(ReviewError::Unauthorized { .. })));
}
