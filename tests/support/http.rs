//! Requests to servers on this machine.

/// Returns an address of this machine whose port is free now.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Returns the status and the text of an answer; the status is 0 if no server answers.
pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    let Ok(response) = reqwest::get(format!("http://{address}{path}")).await else {
        return (0, String::new());
    };
    (response.status().as_u16(), response.text().await.unwrap_or_default())
}
