//! TLS.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::words::*;

group! { after cluster::END;
    TLS_PORT: u16 = number("tls-port", "0", 0, 65535).off("0", "no TLS");
    TLS_REPLICATION: bool = yes_no("tls-replication", "no").off("no", "no TLS");
    TLS_CLUSTER: bool = yes_no("tls-cluster", "no").off("no", "no TLS");
    TLS_AUTH_CLIENTS: TlsAuthClients = word::<TlsAuthClients>("tls-auth-clients", "yes").tunes("TLS");
    TLS_CERT_FILE: Arc<str> = text("tls-cert-file", "").tunes("TLS");
    TLS_KEY_FILE: Arc<str> = text("tls-key-file", "").tunes("TLS");
    TLS_KEY_FILE_PASS: Arc<str> = text("tls-key-file-pass", "").sensitive().tunes("TLS");
    TLS_CLIENT_CERT_FILE: Arc<str> = text("tls-client-cert-file", "").tunes("TLS");
    TLS_CLIENT_KEY_FILE: Arc<str> = text("tls-client-key-file", "").tunes("TLS");
    TLS_CLIENT_KEY_FILE_PASS: Arc<str> = text("tls-client-key-file-pass", "").sensitive().tunes("TLS");
    TLS_DH_PARAMS_FILE: Arc<str> = text("tls-dh-params-file", "").tunes("TLS");
    TLS_CA_CERT_FILE: Arc<str> = text("tls-ca-cert-file", "").tunes("TLS");
    TLS_CA_CERT_DIR: Arc<str> = text("tls-ca-cert-dir", "").tunes("TLS");
    TLS_PROTOCOLS: Arc<str> = text("tls-protocols", "").tunes("TLS");
    TLS_CIPHERS: Arc<str> = text("tls-ciphers", "").tunes("TLS");
    TLS_CIPHERSUITES: Arc<str> = text("tls-ciphersuites", "").tunes("TLS");
    TLS_PREFER_SERVER_CIPHERS: bool = yes_no("tls-prefer-server-ciphers", "no").tunes("TLS");
    TLS_SESSION_CACHING: bool = yes_no("tls-session-caching", "yes").tunes("TLS");
    TLS_SESSION_CACHE_SIZE: u32 = number("tls-session-cache-size", "20480", 0, INT_MAX).tunes("TLS");
    TLS_SESSION_CACHE_TIMEOUT: u32 = number("tls-session-cache-timeout", "300", 0, INT_MAX).tunes("TLS");
    TLS_AUTH_CLIENTS_USER: TlsAuthClientsUser =
        word::<TlsAuthClientsUser>("tls-auth-clients-user", "off").tunes("TLS");
    TLS_AUTO_RELOAD_INTERVAL: u32 = number("tls-auto-reload-interval", "0", 0, INT_MAX).tunes("TLS");
    MAX_NEW_TLS_CONNECTIONS_PER_CYCLE: u32 =
        number("max-new-tls-connections-per-cycle", "1", 1, 1000).tunes("TLS");
}
