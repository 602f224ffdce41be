//! Who the caller is, and how the first one signs in.

use http::Method;
use oxide_core::api::{
    sign_in::{Setup, SetupDone},
    user::Me,
};

use crate::{Client, ClientError, transport::Body};

impl Client {
    /// Makes the first administrator with the code that the server printed at its first start.
    ///
    /// # Errors
    /// The code is not the right one or has been used, the server cannot be reached, or says no.
    pub async fn set_up(&self, setup: &Setup) -> Result<SetupDone, ClientError> {
        let url = self.transport.url(["sign-in", "setup"]);
        self.transport.json(Method::POST, url, Body::json(setup)).await
    }

    /// The user that the token speaks for, with roles.
    ///
    /// # Errors
    /// The token is not good, the server cannot be reached, or says no.
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.transport.json(Method::GET, self.transport.url(["user"]), Body::None).await
    }
}
