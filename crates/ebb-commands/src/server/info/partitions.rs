//! INFO partitions.

use ebb_config::Word;
use ebb_engine::Context;

use super::Text;
use crate::partition::Figures;

pub(super) fn partitions(ctx: &mut Context<'_>, text: &mut Text) {
    let all = Figures::gather(ctx, &ctx.server.partitions.table().all);
    text.field("partitions", all.len());
    for one in all {
        let (line, totals) = (&one.partition.line, &one.partition.totals);
        let fields = [
            format!("keys={}", one.keys),
            format!("bytes={}", one.bytes),
            format!("maxmemory={}", line.maxmemory),
            format!("policy={}", one.partition.policy(ctx.server).word()),
            format!("hits={}", one.uses.hits),
            format!("misses={}", one.uses.misses),
            format!("evicted={}", totals.evicted()),
            format!("expired={}", totals.expired()),
            format!("refused={}", one.partition.refused()),
            format!("unsettled={}", one.unsettled),
        ];
        text.field(&format!("partition_{}", line.name), fields.join(","));
    }
}
