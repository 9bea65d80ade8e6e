select
    sid as id,
    phone_number,
    friendly_name,
    date_created as created_at,
    date_updated as updated_at,
    received_at as _fivetran_synced
from {{ source('tap', 'outgoing_caller_ids') }}
