//! Members in replies, with or without their scores.

use ebb_engine::Reply;

/// The header for so many members.
pub(super) fn begin(reply: &mut Reply, members: usize, scores: bool) {
    let flat = scores && !reply.is_resp3();
    reply.array(if flat { 2 * members } else { members });
}

/// A member; in RESP3 it and its score are a pair.
#[inline]
pub(super) fn member(reply: &mut Reply, member: &[u8], score: f64, scores: bool) {
    if scores && reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(member);
    if scores {
        reply.double(score);
    }
}
