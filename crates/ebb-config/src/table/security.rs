//! Passwords, access control, and what clients may do to the server.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::words::*;

group! { after general::END;
    REQUIREPASS: Arc<str> = text("requirepass", "").sensitive();
    ACLFILE: Arc<str> = text("aclfile", "").immutable();
    ACLLOG_MAX_LEN: u64 = number("acllog-max-len", "128", 0, LONG_MAX);
    ACL_PUBSUB_DEFAULT: AclPubsubDefault =
        word::<AclPubsubDefault>("acl-pubsub-default", "resetchannels");
    ENABLE_PROTECTED_CONFIGS: Guard = word::<Guard>("enable-protected-configs", "no").immutable();
    ENABLE_DEBUG_COMMAND: Guard = word::<Guard>("enable-debug-command", "no").immutable();
    ENABLE_MODULE_COMMAND: Guard = word::<Guard>("enable-module-command", "no").immutable().tunes("modules");
}
