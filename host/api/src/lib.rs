//! REST, WebSocket, SSE, webhooks and sign-in.
