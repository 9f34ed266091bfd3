//! Every task kind of this program: a kind is one file and one line here.

use workflow::kind::Registry;

use crate::context::Context;

/// The kinds, wired to the project's services.
pub(crate) async fn connected(ctx: &Context) -> anyhow::Result<Registry> {
    let _pool = ctx.postgres().await?;
    Ok(Registry::new())
}
