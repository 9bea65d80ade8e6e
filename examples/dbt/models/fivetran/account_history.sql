-- One row an account: the tap keeps the newest.
select
    sid as id,
    owner_account_sid as owner_account_id,
    friendly_name,
    status,
    type,
    date_created as created_at,
    date_updated as updated_at,
    received_at as _fivetran_synced
from {{ source('tap', 'accounts') }}
